#include "guest-agent/setup/child_main.hpp"

#include "common/base/error.hpp"
#include "common/oci/id_map.hpp"
#include "guest-agent/network/loopback.hpp"
#include "guest-agent/setup/devices.hpp"
#include "guest-agent/setup/hooks.hpp"
#include "guest-agent/setup/keyring.hpp"
#include "guest-agent/setup/mount_api.hpp"
#include "guest-agent/setup/mounts.hpp"
#include "guest-agent/setup/namespaces.hpp"
#include "guest-agent/setup/root_walk.hpp"
#include "guest-agent/setup/rootfs.hpp"
#include "guest-agent/setup/seccomp.hpp"
#include "guest-agent/setup/sysctl.hpp"
#include "guest-agent/setup/time_namespace.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

/// What runc uses for a set-up that failed, too.
constexpr int failed_exit_code = 128;

template <class F>
[[noreturn]] void run_child(int control_fd, F prepare_and_execute) {
    ChildControl control(control_fd);
    try {
        prepare_and_execute(control);
    } catch (...) {
        control.send_failure(to_status(std::current_exception()));
    }
    ::_exit(failed_exit_code);
}

/// In a new user namespace the process has all capabilities but still its old ids.
void become_root_of_user_namespace() {
    if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) {
        throw_errno("become root of", "user namespace");
    }
}

void set_names(const oci::Spec& spec) {
    if (!spec.hostname.empty() && ::sethostname(spec.hostname.data(), spec.hostname.size()) != 0) {
        throw_errno("set hostname", spec.hostname.substr(0, 128));
    }
    if (!spec.domainname.empty() &&
        ::setdomainname(spec.domainname.data(), spec.domainname.size()) != 0) {
        throw_errno("set domainname", spec.domainname.substr(0, 128));
    }
}

/// The machine is the pod's: names and sysctls of namespaces that the container shares with it are
/// the pod's own.
void set_names_and_sysctls(const oci::Spec& spec) {
    set_names(spec);
    const std::vector<oci::IdMapping>& users = spec.linux_part.uid_mappings;
    write_sysctls(spec.linux_part.sysctl, oci::to_host_id(users, 0).value_or(0));
}

/// The terminal is also the container's /dev/console.
void bind_console(int root, const Terminal& terminal) {
    const UniqueFd mount = clone_mount(terminal.slave.get(), "", false, "/dev/console");
    // Not by a link of the image: that could lead into /proc (CVE-2025-52565).
    const UniqueFd target = make_plain_in_root(root, "/dev/console", NodeKind::file);
    attach_mount(mount.get(), target.get(), "/dev/console");
}

UniqueFd open_agents_devpts() {
    return UniqueFd(::open("/dev/pts", O_PATH | O_CLOEXEC));
}

void mount_all(int root, Sources& sources, const InitLaunch& launch) {
    const oci::Spec& spec = launch.spec;
    for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
        mount_entry({root, spec, launch.namespaces, sources}, i);
    }
    make_devices(root, sources, spec.linux_part, !binds_dev(spec));
    sources.finish();
}

oci::ContainerState hook_state(const InitLaunch& launch, const char* status) {
    return {
        launch.spec.oci_version,
        launch.process.container_id,
        status,
        ::getpid(),
        launch.bundle,
        launch.spec.annotations
    };
}

/// While the set-up runs, umask is 0.
void run_create_hooks(const InitLaunch& launch) {
    const mode_t before = ::umask(0022);
    run_hooks(
        "createContainer",
        launch.spec.hooks.create_container,
        hook_state(launch, "creating"),
        make_environment(launch.spec.process)
    );
    ::umask(before);
}

/// The whole file system view. The root's descriptor is used from beginning to end: no path is
/// walked from "/" before the root has changed.
Terminal set_up_root(const InitLaunch& launch, Sources& sources) {
    const oci::Spec& spec = launch.spec;
    const UniqueFd root = attach_rootfs(sources, spec.root.path);
    mount_all(root.get(), sources, launch);
    Terminal terminal;
    if (spec.process.terminal) {
        const UniqueFd fallback = open_agents_devpts();
        terminal = open_terminal(root.get(), fallback.get());
        bind_console(root.get(), terminal);
    }
    make_in_root(root.get(), spec.process.cwd, NodeKind::directory);
    protect_paths(root.get(), spec.linux_part);
    enter_root(root.get());
    if (!spec.hooks.create_container.empty()) {
        run_create_hooks(launch);
    }
    finish_root(root.get(), spec);
    return terminal;
}

/// What is left once the process is where it belongs. `init`: it executes when the agent says so.
void finish(
    const ProcessSpec& process, Terminal& terminal, ChildControl& control, const InitLaunch* init
) {
    const std::vector<std::string> environment = make_environment(process.process);
    apply_process_attributes(process, terminal, control);
    // Before an init says that it is ready, so that Create fails, as with runc.
    const std::string program = find_program(process.process.args[0], environment);
    if (init != nullptr || terminal.master) {
        control.send_ready(terminal.master.get());
    }
    terminal.master.reset();
    if (init != nullptr) {
        control.expect(ControlKind::go);
    }
    if (process.process.no_new_privileges) {
        install_seccomp(process.seccomp);
    }
    if (init != nullptr) {
        // As the container's user and with its seccomp filter, as runc does it.
        run_hooks(
            "startContainer",
            init->spec.hooks.start_container,
            hook_state(*init, "created"),
            environment
        );
    }
    execute(program, process.process, environment);
}

} // namespace

void run_init_child(const InitLaunch& launch, int control_fd, UniqueFd lender) {
    run_child(control_fd, [&](ChildControl& control) {
        const ProcessSpec& process = launch.process;
        std::vector<int> keep{
            control_fd,
            lender.get(),
            process.standard_input,
            process.standard_output,
            process.standard_error
        };
        for (const JoinedNamespace& joined : launch.joined) {
            keep.push_back(joined.pidfd.get());
        }
        isolate_child(std::move(keep));
        control.expect(ControlKind::mapped);
        enter_cgroup_namespace(launch.joined);
        if ((launch.namespaces & CLONE_NEWTIME) != 0) {
            enter_time_namespace(launch.spec.linux_part.time_offsets);
        }
        if ((launch.namespaces & CLONE_NEWUSER) != 0) {
            become_root_of_user_namespace();
        }
        constexpr std::uint64_t own = later_namespaces & ~std::uint64_t{CLONE_NEWTIME};
        if (::unshare(static_cast<int>(launch.namespaces & own)) != 0) {
            throw_errno("create", "cgroup and IPC namespaces");
        }
        if ((launch.namespaces & CLONE_NEWNET) != 0) {
            bring_up_loopback();
        }
        Terminal terminal;
        if (lender) {
            BorrowedSources sources(std::move(lender));
            terminal = set_up_root(launch, sources);
        } else {
            set_names_and_sysctls(launch.spec);
            DirectSources sources(launch);
            sources.clone_peers();
            terminal = set_up_root(launch, sources);
        }
        finish(process, terminal, control, &launch);
    });
}

void run_lender_child(const InitLaunch& launch, int init_pidfd, int socket) {
    run_child(socket, [&](ChildControl& control) {
        isolate_child({socket, init_pidfd});
        control.expect(ControlKind::go); // it has them all now
        constexpr std::uint64_t joined = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET;
        const std::uint64_t all = launch.namespaces | flags_of(launch.joined);
        if (::setns(init_pidfd, static_cast<int>(all & joined)) != 0) {
            throw_errno("enter", "namespaces of the container's init");
        }
        set_names_and_sysctls(launch.spec);
        DirectSources sources(launch);
        lend_sources(socket, sources);
        ::_exit(0);
    });
}

void run_exec_child(const ExecLaunch& launch, int control_fd) {
    run_child(control_fd, [&](ChildControl& control) {
        const ProcessSpec& process = launch.process;
        // Before the container's processes can see this one.
        isolate_child(
            {control_fd,
             launch.init_pidfd,
             process.standard_input,
             process.standard_output,
             process.standard_error}
        );
        control.expect(ControlKind::mapped);
        const UniqueFd devpts = open_agents_devpts();
        const auto others = static_cast<int>(launch.namespaces & ~std::uint64_t{CLONE_NEWPID});
        if (::setns(launch.init_pidfd, others) != 0) {
            throw_errno("enter", "namespaces of the container's init");
        }
        if ((launch.namespaces & CLONE_NEWUSER) != 0) {
            become_root_of_user_namespace();
        }
        Terminal terminal;
        if (process.process.terminal) {
            const UniqueFd root(::open("/", O_PATH | O_CLOEXEC));
            terminal = open_terminal(root.get(), devpts.get());
        }
        finish(process, terminal, control, nullptr);
    });
}

} // namespace cppvm::guest
