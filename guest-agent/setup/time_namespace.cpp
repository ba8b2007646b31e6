#include "guest-agent/setup/time_namespace.hpp"

#include "common/base/error.hpp"
#include "common/oci/refuse.hpp"
#include "common/os/file.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sched.h>

namespace cppvm::guest {

namespace {

constexpr std::uint32_t ns_in_a_second = 1000000000;

} // namespace

void review_time_offsets(const oci::Linux& spec) {
    const bool has_namespace =
        std::ranges::any_of(spec.namespaces, [](const auto& item) { return item.type == "time"; });
    if (!spec.time_offsets.empty() && !has_namespace) {
        oci::refuse("linux.timeOffsets", "needs a namespace of type 'time' in linux.namespaces");
    }
    for (const auto& [clock, offset] : spec.time_offsets) {
        const std::string path = "linux.timeOffsets." + clock.substr(0, 64);
        if (clock != "monotonic" && clock != "boottime") {
            oci::refuse(path, "is no clock of a time namespace: monotonic, boottime");
        }
        if (offset.nanosecs >= ns_in_a_second) {
            oci::refuse(path + ".nanosecs", "must be less than a second");
        }
    }
}

void enter_time_namespace(const std::map<std::string, oci::TimeOffset>& offsets) {
    if (::unshare(CLONE_NEWTIME) != 0) {
        throw_errno("create", "time namespace");
    }
    for (const auto& [clock, offset] : offsets) {
        try {
            write_control_file(
                "/proc/self/timens_offsets",
                clock + " " + std::to_string(offset.secs) + " " + std::to_string(offset.nanosecs)
            );
        } catch (...) {
            rethrow_with_context("linux.timeOffsets." + clock);
        }
    }
    const UniqueFd made = open_file("/proc/self/ns/time_for_children", O_RDONLY);
    if (::setns(made.get(), CLONE_NEWTIME) != 0) {
        throw_errno("enter", "time namespace");
    }
}

} // namespace cppvm::guest
