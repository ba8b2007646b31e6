#include "guest-agent/setup/launch.hpp"

#include "common/base/error.hpp"
#include "common/oci/id_map.hpp"
#include "common/os/file.hpp"
#include "guest-agent/setup/child_main.hpp"
#include "guest-agent/setup/clone.hpp"
#include "guest-agent/setup/rlimits.hpp"

#include <csignal>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <tuple>
#include <unistd.h>

namespace cppvm::guest {

namespace {

void write_to_process(pid_t pid, const char* file, const std::string& text) {
    write_control_file("/proc/" + std::to_string(pid) + "/" + file, text);
}

/// A pipe of the machine's root could not be given to the container's user from inside.
void give_stdio_to_root_of(const oci::Linux& container, const ProcessSpec& process) {
    const uid_t uid = oci::to_host_id(container.uid_mappings, 0).value_or(0);
    const gid_t gid = oci::to_host_id(container.gid_mappings, 0).value_or(0);
    for (const int fd : {process.standard_input, process.standard_output, process.standard_error}) {
        struct stat status{};
        if (::fstat(fd, &status) != 0 ||
            (S_ISFIFO(status.st_mode) && ::fchown(fd, uid, gid) != 0)) {
            throw_errno("change owner of", "stdio");
        }
    }
}

/// What only the parent can do for a new child; then lets it go on. The child cannot be gone: its
/// pid is the agent's to reap.
void configure_from_parent(
    const Launched& child, const ProcessSpec& spec, const oci::Linux& container, bool writes_maps
) {
    const oci::Process& process = spec.process;
    if (process.oom_score_adj) {
        // From here, because the child may already be where there is no procfs of ours.
        write_to_process(child.pid, "oom_score_adj", std::to_string(*process.oom_score_adj));
    }
    if (!container.uid_mappings.empty()) {
        if (writes_maps) {
            write_to_process(child.pid, "uid_map", oci::mapping_text(container.uid_mappings));
            write_to_process(child.pid, "gid_map", oci::mapping_text(container.gid_mappings));
        }
        raise_hard_limits(child.pid, process.rlimits);
    }
    ChildControl(child.control.get()).send(ControlKind::mapped);
}

/// Runs `work` for a child that must not outlive its failure.
template <class F>
void do_for(const Launched& child, F work) {
    try {
        work();
    } catch (...) {
        ::syscall(SYS_pidfd_send_signal, child.pidfd.get(), SIGKILL, nullptr, 0);
        throw;
    }
}

/// Reaped as an orphan; it ends with the child, whose end of the socket nobody else has.
void start_lender(const InitLaunch& launch, int init_pidfd, int socket) {
    if (clone_process(0, launch.cgroup).pid == 0) {
        run_lender_child(launch, init_pidfd, socket);
    }
}

} // namespace

Launched launch_init(const InitLaunch& launch) {
    auto [ours, theirs] = make_control_sockets();
    const oci::Linux& container = launch.spec.linux_part;
    UniqueFd lender;
    UniqueFd borrower;
    if ((launch.namespaces & CLONE_NEWUSER) != 0) {
        give_stdio_to_root_of(container, launch.process);
        std::tie(lender, borrower) = make_control_sockets();
        set_nonblocking(lender.get(), false);
    }
    CloneResult clone;
    {
        NamespaceScope scope;
        scope.enter(launch.joined);
        clone = clone_process(launch.namespaces & ~later_namespaces, launch.cgroup);
        if (clone.pid == 0) {
            run_init_child(launch, theirs.get(), std::move(borrower));
        }
    }
    Launched child{clone.pid, std::move(clone.pidfd), std::move(ours)};
    do_for(child, [&] {
        if (lender) {
            start_lender(launch, child.pidfd.get(), lender.get());
        }
        configure_from_parent(child, launch.process, container, true);
    });
    return child;
}

Launched launch_exec(const ExecLaunch& launch) {
    auto [ours, theirs] = make_control_sockets();
    if ((launch.namespaces & CLONE_NEWUSER) != 0) {
        give_stdio_to_root_of(launch.linux_part, launch.process);
    }
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
    do_for(child, [&] { configure_from_parent(child, launch.process, launch.linux_part, false); });
    return child;
}

} // namespace cppvm::guest
