#include "common/os/child_report.hpp"

#include <array>
#include <cerrno>
#include <unistd.h>

namespace cppvm {

const char* child_step_text(ChildStep step) noexcept {
    constexpr std::array texts = {
        "set the parent-death signal of",
        "enter the network namespace for",
        "enter the mount namespace for",
        "pass descriptors to",
        "start a session for",
        "set the limits of",
        "make namespaces for",
        "make the root directory of",
        "make a directory for",
        "limit the capabilities of",
        "change to the user of",
        "drop the capabilities of",
        "set no_new_privs for",
        "install the seccomp filter of",
        "execute",
    };
    static_assert(texts.size() == static_cast<std::size_t>(ChildStep::execute) + 1);
    return texts.at(static_cast<std::size_t>(step));
}

void ChildReport::fail(ChildStep step) const noexcept {
    const ChildFailure failure{step, errno};
    [[maybe_unused]] const auto written = ::write(fd_, &failure, sizeof failure);
    ::_exit(127);
}

} // namespace cppvm
