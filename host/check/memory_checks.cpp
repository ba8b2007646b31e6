#include "common/base/number.hpp"
#include "common/base/take_part.hpp"
#include "host/check/host_checks.hpp"
#include "host/check/look.hpp"

#include <optional>
#include <string_view>

namespace cppvm::check {

namespace {

std::optional<std::size_t> available_mib(std::string_view meminfo) {
    std::string_view line = find_line(meminfo, "MemAvailable:");
    take_word(line); // the name
    const auto kib = to_number<std::size_t>(take_word(line));
    return kib ? std::optional(*kib / 1024) : std::nullopt;
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
    const auto available = line_to_number<std::size_t>(text).value_or(0); // 0: there is no pool
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
