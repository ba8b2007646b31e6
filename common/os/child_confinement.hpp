#pragma once

#include "common/base/unique_fd.hpp"
#include "common/os/child_report.hpp"
#include "common/os/confinement.hpp"

#include <string>
#include <vector>

namespace cppvm {

/// Applies a Confinement: what allocates and what can name its object in an error is done by the
/// parent, in the constructor; the rest by the child, between fork and exec, with async-signal-safe
/// calls only.
class ChildConfinement {
  public:
    /// Borrows `confinement`. Throws: Error naming a path that cannot be shown.
    explicit ChildConfinement(const Confinement& confinement);

    /// The child's first part, while it is still as privileged as its parent: limits, namespaces
    /// and root directory. Descriptors stay.
    void isolate(const ChildReport& report) const;

    /// The second: capabilities and user. Clears the parent-death signal (prctl(2)).
    void drop_privileges(const ChildReport& report) const;

    /// The last: no_new_privs and system calls.
    void restrict_system_calls(const ChildReport& report) const;

  private:
    /// A path of the host, and where it appears in the new root.
    struct Shown {
        UniqueFd tree; // detached: open_tree(2)
        std::string target;
        bool directory;
    };

    void show(const Confinement::Visible& visible);
    void set_limits(const ChildReport& report) const;
    void mount_private_directory(const ChildReport& report) const;
    void make_root(const ChildReport& report) const;
    void drop_bounding_set(const ChildReport& report) const;
    void change_user(const ChildReport& report) const;
    void drop_capabilities(const ChildReport& report) const;

    const Confinement& confinement_;
    std::vector<std::string> directories_; // to make in the new root, parents first
    std::vector<Shown> shown_;
};

} // namespace cppvm
