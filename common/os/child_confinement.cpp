#include "common/os/child_confinement.hpp"

#include "common/base/error.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cppvm {

namespace {

// Any directory that every host has will do: it is covered in the child's namespace alone.
constexpr const char* new_root = "/proc";

} // namespace

ChildConfinement::ChildConfinement(const Confinement& confinement) : confinement_(confinement) {
    for (const auto& visible : confinement.visible) {
        show(visible);
    }
}

void ChildConfinement::show(const Confinement::Visible& visible) {
    const std::string& path = visible.path.native();
    UniqueFd tree(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    struct stat status{};
    if (!tree || ::fstat(tree.get(), &status) != 0) {
        throw_errno("show to a child", path);
    }
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                          (visible.writable ? MOUNT_ATTR_NOEXEC : MOUNT_ATTR_RDONLY);
    if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
        throw_errno("set the mount attributes of", path);
    }
    const bool directory = S_ISDIR(status.st_mode);
    const std::filesystem::path target = new_root + path;
    std::filesystem::path made;
    for (const auto& part : directory ? target : target.parent_path()) {
        made /= part;
        directories_.push_back(made);
    }
    shown_.push_back({std::move(tree), target, directory});
}

void ChildConfinement::isolate(const ChildReport& report) const {
    set_limits(report);
    const bool mounts = !confinement_.visible.empty() || !confinement_.private_directory.empty();
    const int mount_namespace = mounts ? CLONE_NEWNS : 0;
    const int namespaces = confinement_.namespaces | mount_namespace;
    if (namespaces != 0) {
        report.check(ChildStep::namespaces, ::unshare(namespaces));
    }
    if (!confinement_.visible.empty()) {
        make_root(report);
    }
    if (!confinement_.private_directory.empty()) {
        mount_private_directory(report);
    }
}

void ChildConfinement::mount_private_directory(const ChildReport& report) const {
    constexpr auto step = ChildStep::private_directory;
    constexpr unsigned long closed = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW;
    constexpr unsigned long read_only = MS_REMOUNT | MS_BIND | MS_RDONLY;
    const char* const path = confinement_.private_directory.c_str();
    report.check(step, ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr));
    // The mount alone is read-only, not the file system: whoever mounts something in it later makes
    // the places for that.
    const char* const options = "mode=0700,size=64k,nr_inodes=16384";
    report.check(step, ::mount("cppvm", path, "tmpfs", closed, options));
    report.check(step, ::mount(nullptr, path, nullptr, closed | read_only, nullptr));
}

void ChildConfinement::set_limits(const ChildReport& report) const {
    for (const auto& [resource, value] : confinement_.limits) {
        rlimit limit{};
        report.check(ChildStep::limits, ::prlimit(0, __rlimit_resource(resource), nullptr, &limit));
        const rlim_t lower = std::min(value, limit.rlim_max);
        limit = {lower, lower};
        report.check(ChildStep::limits, ::prlimit(0, __rlimit_resource(resource), &limit, nullptr));
    }
}

void ChildConfinement::make_root(const ChildReport& report) const {
    constexpr auto step = ChildStep::own_root;
    constexpr unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    report.check(step, ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
    report.check(step, ::mount("tmpfs", new_root, "tmpfs", flags, "size=64k,mode=0755"));
    for (const auto& directory : directories_) {
        const bool made = ::mkdir(directory.c_str(), 0755) == 0;
        report.check(step, made || errno == EEXIST ? 0 : -1);
    }
    for (const auto& [tree, target, directory] : shown_) {
        if (!directory) {
            const int file = ::open(target.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
            report.check(step, file);
            ::close(file);
        }
        report.check(
            step, ::move_mount(tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH)
        );
    }
    // The old root lies below the new one then, at the same place (pivot_root(2), NOTES).
    report.check(step, ::chdir(new_root));
    report.check(step, ::syscall(SYS_pivot_root, ".", "."));
    report.check(step, ::umount2(".", MNT_DETACH));
    report.check(step, ::chdir("/"));
    report.check(
        step, ::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, nullptr)
    );
}

void ChildConfinement::drop_privileges(const ChildReport& report) const {
    if (confinement_.capabilities) {
        drop_bounding_set(report); // while there is CAP_SETPCAP
    }
    if (confinement_.user) {
        change_user(report);
    }
    if (confinement_.capabilities) {
        drop_capabilities(report);
    }
}

void ChildConfinement::drop_bounding_set(const ChildReport& report) const {
    for (unsigned capability = 0; capability < 64; ++capability) {
        if ((*confinement_.capabilities >> capability & 1U) != 0) {
            continue;
        }
        const int bounded = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
        if (bounded < 0 && errno == EINVAL) {
            return; // the kernel has no more
        }
        if (bounded == 1) {
            report.check(ChildStep::bounding_set, ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0));
        }
    }
}

// By the system calls: those of the C library tell other threads, which a forked child has not.
void ChildConfinement::change_user(const ChildReport& report) const {
    constexpr auto step = ChildStep::user;
    const auto& [user, group, groups] = *confinement_.user;
    report.check(step, ::syscall(SYS_setgroups, groups.size(), groups.data()));
    report.check(step, ::syscall(SYS_setresgid, group, group, group));
    report.check(step, ::syscall(SYS_setresuid, user, user, user));
}

void ChildConfinement::drop_capabilities(const ChildReport& report) const {
    constexpr auto step = ChildStep::capabilities;
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    report.check(step, ::syscall(SYS_capget, &header, sets.data()));
    const std::uint64_t kept = *confinement_.capabilities;
    for (std::size_t word = 0; word < sets.size(); ++word) {
        auto& set = sets[word];
        set.permitted &= static_cast<std::uint32_t>(kept >> (32 * word));
        set.effective = set.permitted;
        set.inheritable = 0; // and with it the ambient set
    }
    report.check(step, ::syscall(SYS_capset, &header, sets.data()));
}

void ChildConfinement::restrict_system_calls(const ChildReport& report) const {
    if (confinement_.no_new_privileges) {
        report.check(ChildStep::no_new_privileges, ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    }
    const auto& filter = confinement_.system_calls;
    if (!filter.empty()) {
        const sock_fprog program{
            static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())
        };
        report.check(
            ChildStep::system_calls, ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0)
        );
    }
}

} // namespace cppvm
