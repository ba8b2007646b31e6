#include "host/shim/process_settings.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/os/file.hpp"

#include <cerrno>
#include <string>
#include <sys/prctl.h>

namespace cppvm::shim {

namespace {

constexpr const char* oom_score_path = "/proc/self/oom_score_adj";
constexpr int max_oom_score = 1000;

} // namespace

bool raise_oom_score() noexcept {
    try {
        const auto score = line_to_number<int>(read_file(oom_score_path, 64));
        if (score && *score < max_oom_score) {
            write_control_file(oom_score_path, std::to_string(*score + 1));
        }
        return score.has_value();
    } catch (const std::exception&) {
        return false;
    }
}

void isolate_cores() {
    if (::prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0UL, PR_SCHED_CORE_SCOPE_PROCESS_GROUP, 0UL) ==
        0) {
        return;
    }
    if (errno == ENODEV) { // no simultaneous multithreading: nothing to keep apart
        return;
    }
    if (errno == EINVAL) {
        throw Error(
            Code::failed_precondition,
            "enable core scheduling (SCHED_CORE=1): this kernel has none; take SCHED_CORE out of "
            "containerd's settings or use a kernel with CONFIG_SCHED_CORE"
        );
    }
    throw_errno("enable core scheduling", "(SCHED_CORE=1)");
}

} // namespace cppvm::shim
