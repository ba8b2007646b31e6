#include "host/check/host_checks.hpp"
#include "host/check/look.hpp"

#include <charconv>
#include <optional>
#include <string_view>

namespace cppvm::check {

namespace {

std::optional<std::size_t> available_mib(std::string_view meminfo) {
    std::string_view line = find_line(meminfo, "MemAvailable:");
    const std::size_t digit = line.find_first_of("0123456789");
    std::size_t kib = 0;
    if (digit == std::string_view::npos ||
        std::from_chars(line.data() + digit, line.data() + line.size(), kib).ec != std::errc{}) {
        return std::nullopt;
    }
    return kib / 1024;
}

} // namespace

Check HostChecks::memory() const {
    const char* const name = "memory";
    if (config_.vm.huge_page_mib != 0) {
        return huge_pages();
    }
    const auto available = available_mib(read_kernel_file(below_root("/proc/meminfo")));
    if (!available) {
        return warning(name, "/proc/meminfo does not say what is available", {});
    }
    const std::string detail = std::to_string(*available) +
                               " MiB available, a machine takes up to " +
                               std::to_string(config_.vm.memory_mib) + " MiB";
    if (*available < config_.vm.memory_mib) {
        return missing(name, detail, "free memory, or lower memory_mib in [vm]");
    }
    return ok(name, detail);
}

// Of the kernel's pool, which nothing else fills (Documentation/admin-guide/mm/hugetlbpage.rst).
Check HostChecks::huge_pages() const {
    const char* const name = "memory";
    const unsigned page = config_.vm.huge_page_mib;
    const unsigned needed = config_.vm.memory_mib / page;
    if (config_.vm.memory_mib % page != 0) {
        return missing(
            name,
            std::to_string(config_.vm.memory_mib) + " MiB is not a multiple of the page size of " +
                std::to_string(page) + " MiB",
            "change memory_mib or huge_page_mib in [vm]"
        );
    }
    const std::string pool =
        "/sys/kernel/mm/hugepages/hugepages-" + std::to_string(page * 1024) + "kB";
    const std::string text = read_kernel_file(below_root(pool + "/free_hugepages"));
    std::size_t available = 0;
    std::from_chars(text.data(), text.data() + text.size(), available); // 0 where there is no pool
    const std::string detail = std::to_string(available) + " huge pages of " +
                               std::to_string(page) + " MiB free, a machine takes " +
                               std::to_string(needed);
    if (available < needed) {
        return missing(
            name, detail, "echo more into " + pool + "/nr_hugepages, or change [vm] huge_page_mib"
        );
    }
    return ok(name, detail);
}

} // namespace cppvm::check
