#include "host/pod/sizing.hpp"

#include "common/base/error.hpp"

#include <algorithm>
#include <unistd.h>

namespace cppvm::pod {

namespace {

constexpr std::uint64_t mib = 1024UL * 1024;
constexpr std::uint64_t default_period_us = 100'000; // the kernel's (cgroup-v2.rst, cpu.max)
constexpr unsigned max_vcpus = 512;                  // as vm.vcpus
// QEMU besides its guest's memory, virtiofsd and the daemon (docs/figures.md); emulation keeps the
// code that it has translated.
constexpr unsigned helpers_mib = 27;
constexpr unsigned helpers_of_emulation_mib = 106;
constexpr unsigned pages_per_record_page = 64; // struct page: 64 bytes for 4 KiB

std::uint64_t divide_up(std::uint64_t value, std::uint64_t by) {
    return value / by + (value % by == 0 ? 0 : 1);
}

/// Rounds down where there would not be enough for one page more.
std::uint64_t whole_pages(std::uint64_t wanted, std::uint64_t available, unsigned page_mib) {
    if (page_mib == 0) {
        return std::min(wanted, available);
    }
    return std::min(divide_up(wanted, page_mib), available / page_mib) * page_mib;
}

unsigned processors(const Limits& limits, const config::Vm& vm, const HostSize& host) {
    if (limits.cpu_quota_us <= 0) {
        return vm.vcpus;
    }
    const std::uint64_t period =
        limits.cpu_period_us == 0 ? default_period_us : limits.cpu_period_us;
    const auto wanted = divide_up(static_cast<std::uint64_t>(limits.cpu_quota_us), period);
    const auto most = std::clamp(host.processors, 1U, max_vcpus);
    return static_cast<unsigned>(std::min<std::uint64_t>(wanted, most));
}

void require_bootable(std::uint64_t memory_mib, const config::Vm& vm) {
    if (memory_mib < vm.overhead_mib) {
        throw Error(
            Code::invalid_argument,
            "machine of " + std::to_string(memory_mib) + " MiB: its guest alone needs " +
                std::to_string(vm.overhead_mib) + " MiB; raise memory_mib in [vm]"
        );
    }
}

void require_room(const config::Config& config, const HostSize& host) {
    const bool emulation = config.hypervisor.acceleration == "emulation";
    const unsigned overhead =
        config.vm.overhead_mib + (emulation ? helpers_of_emulation_mib : helpers_mib);
    if (host.pod_mib && *host.pod_mib < overhead) {
        throw Error(
            Code::invalid_argument,
            "pod's cgroup may use " + std::to_string(*host.pod_mib) +
                " MiB of memory: a machine takes " + std::to_string(overhead) +
                " MiB before its containers run; set overhead.podFixed.memory of the RuntimeClass "
                "to that much"
        );
    }
}

} // namespace

HostSize host_size(std::optional<std::uint64_t> pod_bytes) {
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const long page = ::sysconf(_SC_PAGESIZE);
    const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
    HostSize size;
    size.processors = static_cast<unsigned>(std::max(online, 1L));
    size.memory_mib =
        static_cast<std::uint64_t>(std::max(pages, 0L)) * static_cast<std::uint64_t>(page) / mib;
    if (pod_bytes) {
        size.pod_mib = *pod_bytes / mib;
    }
    return size;
}

MachineSize size_machine(const Limits& limits, const config::Config& config, const HostSize& host) {
    require_room(config, host);
    const config::Vm& vm = config.vm;
    MachineSize size;
    size.vcpus = processors(limits, vm, host);
    std::uint64_t memory_mib = vm.memory_mib;
    if (limits.memory_bytes > 0) {
        const auto limit = divide_up(static_cast<std::uint64_t>(limits.memory_bytes), mib);
        const auto wanted = limit + vm.overhead_mib + limit / pages_per_record_page;
        memory_mib = whole_pages(wanted, host.memory_mib, vm.huge_page_mib);
        if (memory_mib < wanted) {
            size.cut = "memory limit of " + std::to_string(limit) + " MiB: the host has " +
                       std::to_string(host.memory_mib) + " MiB";
        }
    }
    require_bootable(memory_mib, vm);
    size.memory_mib = static_cast<unsigned>(memory_mib);
    return size;
}

} // namespace cppvm::pod
