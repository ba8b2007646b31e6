#pragma once

namespace cppvm {

/// What a child does between fork and exec. In the order of child_step_text.
enum class ChildStep {
    parent_death_signal,
    network_namespace,
    mount_namespace,
    descriptors,
    session,
    limits,
    namespaces,
    own_root,
    private_directory,
    bounding_set,
    user,
    capabilities,
    no_new_privileges,
    system_calls,
    execute,
};

/// "set the limits of", to be followed by the program's name.
const char* child_step_text(ChildStep step) noexcept;

/// What the child tells the parent when it could not get to its program.
struct ChildFailure {
    ChildStep step;
    int error;
};

/// The child's end of the pipe to its parent: closed by exec, which means success.
/// Async-signal-safe.
class ChildReport {
  public:
    explicit ChildReport(int fd) : fd_(fd) {}

    /// Tells step and errno, and ends the process.
    [[noreturn]] void fail(ChildStep step) const noexcept;

    /// `fail` if `result`, of a system call, is negative.
    void check(ChildStep step, long result) const noexcept {
        if (result < 0) {
            fail(step);
        }
    }

  private:
    int fd_;
};

} // namespace cppvm
