#include "tests/e2e/probe/attempt.hpp"
#include "tests/e2e/probe/probe.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace cppvm::probe {

namespace {

struct Attempt {
    const char* name;
    std::function<int()> action;
};

/// As error_of, of a call on a file that must not be there for the next case.
int without(const char* path, long result) {
    const int error = error_of(result);
    ::unlink(path);
    return error;
}

/// A system call with arguments that make no sense: the permission is asked for first.
Attempt call(const char* name, long number) {
    return {name, [number] { return error_of(::syscall(number, -1L, -1L, -1L, -1L, -1L, -1L)); }};
}

Attempt namespace_of(const char* name, int flag) {
    return {name, [flag] { return error_of(::unshare(flag)); }};
}

Attempt socket_of(const char* name, int family, int type, int protocol = 0) {
    return {name, [=] { return error_of(::socket(family, type, protocol)); }};
}

std::vector<Attempt> processes() {
    return {
        {"fork", [] { return 0; }},
        {"ptrace", [] { return error_of(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }},
        {"kill_first", [] { return error_of(::kill(1, 0)); }},
        {"set_user", [] { return error_of(::setuid(1234)); }},
        {"set_group", [] { return error_of(::setgid(1234)); }},
        {"set_groups",
         [] {
             const gid_t group = 1234;
             return error_of(::setgroups(1, &group));
         }},
        {"raise_priority", [] { return error_of(::setpriority(PRIO_PROCESS, 0, -5)); }},
        {"realtime",
         [] {
             sched_param parameters{};
             parameters.sched_priority = 1;
             return error_of(::sched_setscheduler(0, SCHED_FIFO, &parameters));
         }},
        {"raise_files",
         [] {
             rlimit limit{};
             ::getrlimit(RLIMIT_NOFILE, &limit);
             ++limit.rlim_max;
             return error_of(::setrlimit(RLIMIT_NOFILE, &limit));
         }},
        {"lock_memory", [] { return error_of(::mlockall(MCL_CURRENT)); }},
        {"new_process_group", [] { return error_of(::setpgid(0, 0)); }},
        {"lower_oom_score",
         [] {
             const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY);
             return fd < 0 ? errno : error_of(::write(fd, "-999", 4));
         }},
        {"drop_bounding", [] { return error_of(::prctl(PR_CAPBSET_DROP, CAP_CHOWN, 0, 0, 0)); }},
        {"ambient",
         [] { return error_of(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0)); }},
        namespace_of("unshare_user", CLONE_NEWUSER),
        namespace_of("unshare_mount", CLONE_NEWNS),
        namespace_of("unshare_uts", CLONE_NEWUTS),
        namespace_of("unshare_ipc", CLONE_NEWIPC),
        namespace_of("unshare_network", CLONE_NEWNET),
        namespace_of("unshare_pid", CLONE_NEWPID),
        namespace_of("unshare_cgroup", CLONE_NEWCGROUP),
    };
}

std::vector<Attempt> file_system() {
    return {
        {"mount", [] { return error_of(::mount("none", "/tmp", "tmpfs", 0, nullptr)); }},
        {"remount_root",
         [] { return error_of(::mount("none", "/", nullptr, MS_REMOUNT | MS_BIND, nullptr)); }},
        {"unmount_proc", [] { return error_of(::umount2("/proc", MNT_DETACH)); }},
        {"chroot", [] { return error_of(::chroot("/tmp")); }},
        {"make_device",
         [] {
             return without(
                 "/tmp/.device", ::mknod("/tmp/.device", S_IFCHR | 0600, ::makedev(1, 3))
             );
         }},
        {"make_fifo", [] { return without("/tmp/.fifo", ::mkfifo("/tmp/.fifo", 0600)); }},
        {"change_owner",
         [] {
             const int fd = ::open("/tmp/.owner", O_CREAT | O_WRONLY, 0600);
             if (fd < 0) {
                 return errno;
             }
             const int error = error_of(::fchown(fd, 1234, 1234));
             // Given back, or it stays in a directory where only its owner may remove it.
             static_cast<void>(::fchown(fd, ::geteuid(), ::getegid()));
             ::unlink("/tmp/.owner");
             return error;
         }},
        {"set_hostname",
         [] { // to what it is: the namespace may be the machine's
             utsname names{};
             ::uname(&names);
             return error_of(::sethostname(names.nodename, ::strlen(names.nodename)));
         }},
        {"write_sysctl",
         [] {
             const int fd = ::open("/proc/sys/kernel/domainname", O_WRONLY);
             return error_of(fd);
         }},
        {"new_file_system", [] { return error_of(::syscall(SYS_fsopen, "tmpfs", 0)); }},
        {"copy_mount_tree", [] { return error_of(::syscall(SYS_open_tree, AT_FDCWD, "/", 1)); }},
    };
}

std::vector<Attempt> sockets() {
    return {
        socket_of("tcp", AF_INET, SOCK_STREAM),
        socket_of("udp6", AF_INET6, SOCK_DGRAM),
        socket_of("raw", AF_INET, SOCK_RAW, 1),
        socket_of("packet", AF_PACKET, SOCK_RAW),
        socket_of("netlink", AF_NETLINK, SOCK_RAW),
        socket_of("vsock", AF_VSOCK, SOCK_STREAM),
        socket_of("algorithms", AF_ALG, SOCK_SEQPACKET),
        {"ping", [] { return error_of(::socket(AF_INET, SOCK_DGRAM, 1)); }},
    };
}

std::vector<Attempt> kernel() {
    return {
        call("add_key", SYS_add_key),
        call("request_key", SYS_request_key),
        call("keyctl", SYS_keyctl),
        call("bpf", SYS_bpf),
        call("perf_event_open", SYS_perf_event_open),
        call("userfaultfd", SYS_userfaultfd),
        call("io_uring_setup", SYS_io_uring_setup),
        call("init_module", SYS_init_module),
        call("delete_module", SYS_delete_module),
        call("open_by_handle_at", SYS_open_by_handle_at),
        call("process_vm_readv", SYS_process_vm_readv),
        call("kcmp", SYS_kcmp),
        call("fanotify_init", SYS_fanotify_init),
        call("setns", SYS_setns),
        call("clock_settime", SYS_clock_settime),
        call("swapon", SYS_swapon),
        call("syslog", SYS_syslog),
        call("quotactl", SYS_quotactl),
        call("ioperm", SYS_ioperm),
        call("memfd_create", SYS_memfd_create),
        call("clone3", SYS_clone3),
        call("pidfd_open", SYS_pidfd_open),
        {"personality", [] { return error_of(::syscall(SYS_personality, 0x0008)); }},
    };
}

} // namespace

Json abilities() {
    Json result;
    for (const auto& [group, attempts] :
         {std::pair("processes", processes()),
          std::pair("file_system", file_system()),
          std::pair("sockets", sockets()),
          std::pair("kernel", kernel())}) {
        for (const Attempt& one : attempts) {
            result[group][one.name] = attempt(one.action);
        }
    }
    return result;
}

} // namespace cppvm::probe
