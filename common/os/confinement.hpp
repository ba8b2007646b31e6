#pragma once

#include <cstdint>
#include <filesystem>
#include <linux/filter.h>
#include <optional>
#include <sys/resource.h>
#include <sys/types.h>
#include <vector>

namespace cppvm {

/// What a child may do: plain data, complete before the fork. What is not set stays as the
/// parent has it.
struct Confinement {
    struct User {
        uid_t user = 0;
        gid_t group = 0;
        std::vector<gid_t> groups; ///< supplementary ones; all others go
    };
    /// Soft and hard limit of setrlimit(2), unless a lower hard limit is in force already.
    struct Limit {
        int resource = 0; ///< RLIMIT_…
        rlim_t value = 0;
    };
    /// A file or directory of the host; without what is mounted below it.
    struct Visible {
        std::filesystem::path path;
        bool writable = false; ///< then nothing in it can be executed
    };

    std::optional<User> user;
    /// Bits `1 << CAP_…`: those kept of what the parent has. The rest go for good, from the
    /// bounding set too. A user other than root keeps none in any case (capabilities(7)).
    std::optional<std::uint64_t> capabilities;
    bool no_new_privileges = false; ///< PR_SET_NO_NEW_PRIVS
    /// A seccomp program (seccomp_filter.hpp makes one); it must allow execve, write and
    /// exit_group. Needs no_new_privileges.
    std::vector<sock_filter> system_calls;
    int namespaces = 0; ///< new ones, by their CLONE_NEW… flags (unshare(2))
    /// If not empty: the child gets a mount namespace of its own with these, at the same paths,
    /// and nothing else. Its program must be among them. No set-user-id bits, no device nodes.
    std::vector<Visible> visible;
    /// If not empty: a directory that is an empty tmpfs for the child, in a mount namespace of its
    /// own: read-only, and without links, device nodes, set-user-id bits and programs. Not together
    /// with `visible`.
    std::filesystem::path private_directory;
    std::vector<Limit> limits;
};

} // namespace cppvm
