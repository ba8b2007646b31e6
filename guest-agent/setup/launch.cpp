#include "guest-agent/setup/launch.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "guest-agent/setup/child_main.hpp"
#include "guest-agent/setup/clone.hpp"
#include "guest-agent/setup/namespaces.hpp"

#include <csignal>
#include <sched.h>
#include <sys/syscall.h>

namespace cppvm::guest {

namespace {

void write_to_process(pid_t pid, const char* file, const std::string& text) {
    write_control_file("/proc/" + std::to_string(pid) + "/" + file, text);
}

/// What only the parent can do for a new child; then lets it go on. The child cannot be gone: its
/// pid is the agent's to reap.
void configure_from_parent(
    const Launched& child, const oci::Process& process, const oci::Linux* spec
) {
    try {
        if (process.oom_score_adj) {
            // From here, because the child may already be where there is no procfs of ours.
            write_to_process(child.pid, "oom_score_adj", std::to_string(*process.oom_score_adj));
        }
        if (spec != nullptr && !spec->uid_mappings.empty()) {
            write_to_process(child.pid, "uid_map", mapping_text(spec->uid_mappings));
            write_to_process(child.pid, "gid_map", mapping_text(spec->gid_mappings));
        }
        ChildControl(child.control.get()).send(ControlKind::mapped);
    } catch (...) {
        ::syscall(SYS_pidfd_send_signal, child.pidfd.get(), SIGKILL, nullptr, 0);
        throw;
    }
}

} // namespace

Launched launch_init(const InitLaunch& launch) {
    auto [ours, theirs] = make_control_sockets();
    // The cgroup namespace's root is where the process is when it asks for one, and nobody may be
    // in a time namespace before its offsets are written: these two the child makes itself.
    const std::uint64_t flags = launch.namespaces & ~std::uint64_t{CLONE_NEWCGROUP | CLONE_NEWTIME};
    CloneResult clone;
    {
        NamespaceScope scope;
        scope.enter(launch.joined);
        clone = clone_process(flags, launch.cgroup);
        if (clone.pid == 0) {
            run_init_child(launch, theirs.get());
        }
    }
    Launched child{clone.pid, std::move(clone.pidfd), std::move(ours)};
    configure_from_parent(child, launch.spec.process, &launch.spec.linux_part);
    return child;
}

Launched launch_exec(const ExecLaunch& launch) {
    auto [ours, theirs] = make_control_sockets();
    CloneResult clone;
    {
        NamespaceScope scope;
        if ((launch.namespaces & CLONE_NEWPID) != 0) {
            scope.enter(*oci::find_namespace_word("pid"), launch.init_pidfd);
        }
        clone = clone_process(0, launch.cgroup);
        if (clone.pid == 0) {
            run_exec_child(launch, theirs.get());
        }
    }
    Launched child{clone.pid, std::move(clone.pidfd), std::move(ours)};
    configure_from_parent(child, launch.process.process, nullptr);
    return child;
}

} // namespace cppvm::guest
