#include "host/vm/helper_confinement.hpp"

#include "common/os/seccomp_filter.hpp"

#include <array>
#include <linux/capability.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cppvm::vm {

namespace {

// The program's start, by the dynamic loader and the C library.
constexpr std::array start_calls = {
    "access",          "arch_prctl",      "brk",       "execve",   "faccessat",  "faccessat2",
    "fstat",           "getcwd",          "getrandom", "lseek",    "mprotect",   "newfstatat",
    "openat",          "pread64",         "prlimit64", "readlink", "readlinkat", "rseq",
    "set_robust_list", "set_tid_address", "statx",     "uname",
};

// Memory and threads.
constexpr std::array memory_calls = {
    "clone",
    "clone3",
    "exit",
    "exit_group",
    "futex",
    "getpid",
    "gettid",
    "madvise",
    "mmap",
    "mremap",
    "munmap",
    "prctl",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "sigaltstack",
    "tgkill",
    "clock_gettime",
    "clock_nanosleep",
    "nanosleep",
};

// Sockets, events, and what goes through them.
constexpr std::array socket_calls = {
    "accept4",     "bind",        "close",      "connect",  "dup",     "epoll_create1",
    "epoll_ctl",   "epoll_pwait", "epoll_wait", "eventfd2", "fcntl",   "getpeername",
    "getsockname", "getsockopt",  "ioctl",      "listen",   "poll",    "ppoll",
    "read",        "readv",       "recvfrom",   "recvmsg",  "sendmsg", "sendto",
    "setsockopt",  "shutdown",    "unlink",     "unlinkat", "write",   "writev",
};

// Sockets of AF_UNIX alone: AF_VSOCK knows no namespaces and would lead to every other guest.
std::vector<AllowedCall> vsock_device_calls() {
    std::vector<AllowedCall> calls = {{"socket", AF_UNIX}, {"socketpair", AF_UNIX}};
    const auto add = [&calls](const auto& names) {
        for (const char* const name : names) {
            calls.push_back({name, {}});
        }
    };
    add(start_calls);
    add(memory_calls);
    add(socket_calls);
    return calls;
}

// Where the dynamic loader looks. With /usr merged, /lib and /lib64 are all of it.
void show_libraries(Confinement& confinement) {
    std::error_code error;
    for (const char* directory : {"/lib", "/lib64", "/usr/lib", "/usr/lib64"}) {
        const std::filesystem::path path = directory;
        const std::filesystem::path twin = "/" / path.filename();
        const bool is_twin = path != twin && std::filesystem::equivalent(path, twin, error);
        if (std::filesystem::is_directory(path, error) && !is_twin) {
            confinement.visible.push_back({path});
        }
    }
}

} // namespace

Confinement confine_vsock_device(
    uid_t user, const std::filesystem::path& program, const std::filesystem::path& directory
) {
    Confinement confinement;
    confinement.user = {user, user, {}};
    confinement.capabilities = 0;
    confinement.no_new_privileges = true;
    confinement.system_calls = allow_only(vsock_device_calls());
    confinement.namespaces = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    show_libraries(confinement);
    confinement.visible.push_back({program});
    confinement.visible.push_back({directory, true});
    confinement.limits = {
        {RLIMIT_CORE, 0},
        {RLIMIT_FSIZE, 0},
        {RLIMIT_NOFILE, 16384}, // two for each connection
        {RLIMIT_NPROC, 32},
    };
    return confinement;
}

Confinement confine_user_network(uid_t user) {
    Confinement confinement;
    confinement.user = {user, user, {}};
    confinement.capabilities = 0;
    confinement.no_new_privileges = true;
    confinement.limits = {{RLIMIT_CORE, 0}};
    return confinement;
}

Confinement confine_share_server() {
    Confinement confinement;
    confinement.no_new_privileges = true;
    if (::geteuid() == 0) { // not so in tests
        confinement.namespaces = CLONE_NEWIPC | CLONE_NEWUTS;
    }
    confinement.limits = {{RLIMIT_CORE, 0}};
    return confinement;
}

Confinement confine_libvirt_helper() {
    Confinement confinement;
    if (::geteuid() == 0) { // `cppvm check` is for everybody
        // To move a kernel thread is to schedule it.
        confinement.capabilities = 1U << CAP_CHOWN | 1U << CAP_FOWNER | 1U << CAP_SYS_NICE;
    }
    confinement.no_new_privileges = true;
    confinement.limits = {{RLIMIT_CORE, 0}};
    return confinement;
}

} // namespace cppvm::vm
