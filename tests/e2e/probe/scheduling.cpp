#include "tests/e2e/probe/attempt.hpp"
#include "tests/e2e/probe/probe.hpp"

#include <cerrno>
#include <cstdint>
#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cppvm::probe {

namespace {

constexpr unsigned deadline_policy = 6;

/// sched_getattr(2); its header clashes with <sched.h>.
struct Attributes {
    std::uint32_t size = sizeof(Attributes);
    std::uint32_t policy = 0;
    std::uint64_t flags = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 0;
    std::uint64_t deadline = 0;
    std::uint64_t period = 0;
};

std::string io_priority() {
    constexpr int who_process = 1;
    constexpr int class_shift = 13;
    const long value = ::syscall(SYS_ioprio_get, who_process, 0);
    if (value < 0) {
        return error_name(errno);
    }
    return std::to_string(value >> class_shift) + "/" +
           std::to_string(value & ((1L << class_shift) - 1));
}

} // namespace

Json scheduling() {
    Json result;
    Attributes attributes;
    if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0) {
        result["policy"] = attributes.policy;
        result["flags"] = attributes.flags;
        result["priority"] = attributes.priority;
        if (attributes.policy == deadline_policy) { // newer kernels tell others' slices there
            result["runtime"] = attributes.runtime;
            result["deadline"] = attributes.deadline;
            result["period"] = attributes.period;
        }
    } else {
        result["policy"] = error_name(errno);
    }
    result["nice"] = ::getpriority(PRIO_PROCESS, 0);
    result["io_priority"] = io_priority();
    result["personality"] = ::personality(0xffffffff);
    cpu_set_t processors;
    CPU_ZERO(&processors);
    ::sched_getaffinity(0, sizeof processors, &processors);
    result["all_processors"] = CPU_COUNT(&processors) == ::sysconf(_SC_NPROCESSORS_ONLN);
    return result;
}

} // namespace cppvm::probe
