#include "tests/integration/guest/agent_process.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/process_id.hpp"
#include "common/wire/preamble.hpp"

#include <boost/endian/conversion.hpp>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <linux/sched.h>
#include <map>
#include <poll.h>
#include <ranges>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace cppvm::testing {

namespace {

constexpr int start_limit_ms = 10000;

void check(bool good, const char* operation) {
    if (!good) {
        throw_errno(operation, "test set-up");
    }
}

/// Once for each test program.
void leave_the_hosts_mounts() {
    static const bool done = [] {
        check(::syscall(SYS_unshare, CLONE_NEWNS) == 0, "unshare");
        check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make private");
        return true;
    }();
    static_cast<void>(done);
}

std::filesystem::path make_temporary_directory() {
    std::string name = "/tmp/cppvm-agent-test.XXXXXX";
    check(::mkdtemp(name.data()) != nullptr, "mkdtemp");
    // The root of a user namespace has to get to the share.
    check(::chmod(name.c_str(), 0755) == 0, "chmod");
    return name;
}

UniqueFd listen_at(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(static_cast<char*>(address.sun_path), path.c_str(), sizeof address.sun_path - 1);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    check(
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
        "bind"
    );
    check(::listen(socket.get(), 1) == 0, "listen");
    return socket;
}

void wait_readable(int fd) {
    pollfd entry{fd, POLLIN, 0};
    if (::poll(&entry, 1, start_limit_ms) != 1) {
        throw Error(Code::deadline_exceeded, "wait for the agent's hello: timed out");
    }
}

UniqueFd accept_hello(int listener) {
    wait_readable(listener);
    UniqueFd connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    check(static_cast<bool>(connection), "accept");
    return connection;
}

agent::v2::Hello receive_hello(int listener) {
    const UniqueFd connection = accept_hello(listener);
    std::array<std::uint8_t, 4> header{};
    wait_readable(connection.get());
    check(::recv(connection.get(), header.data(), 4, MSG_WAITALL) == 4, "read hello");
    const std::uint32_t size = boost::endian::load_big_u32(header.data());
    std::string text(size, '\0');
    check(
        ::recv(connection.get(), text.data(), size, MSG_WAITALL) == static_cast<ssize_t>(size),
        "read hello"
    );
    const std::uint8_t verdict = wire::accepted;
    check(::write(connection.get(), &verdict, 1) == 1, "answer hello");
    // Until the agent has closed it, so that it does not count among its descriptors.
    std::uint8_t nothing = 0;
    wait_readable(connection.get());
    check(::recv(connection.get(), &nothing, 1, 0) == 0, "read the end of hello");
    agent::v2::Hello hello;
    if (!hello.ParseFromString(text)) {
        throw Error(Code::internal, "parse hello");
    }
    return hello;
}

} // namespace

AgentProcess::AgentProcess(int lost_hellos) {
    leave_the_hosts_mounts();
    directory_ = make_temporary_directory();
    const std::filesystem::path cgroups = directory_ / "cgroup";
    make_directory(cgroups, 0755);
    make_directory(share(), 0755);
    check(::mount("cgroup2", cgroups.c_str(), "cgroup2", 0, nullptr) == 0, "mount cgroup2");
    // As in a virtual machine (boot/machine.cpp).
    check(::mount("tmpfs", share().c_str(), "tmpfs", MS_NODEV, nullptr) == 0, "mount tmpfs");
    cgroup_ = cgroups / directory_.filename();
    make_directory(cgroup_, 0755);
    const UniqueFd listener = listen_at(directory_ / "hello.sock");
    start(directory_ / "hello.sock");
    for (int i = 0; i < lost_hellos; ++i) {
        accept_hello(listener.get());
    }
    hello_ = receive_hello(listener.get());
}

void AgentProcess::start(const std::filesystem::path& hello_path) {
    int pidfd = -1;
    clone_args arguments{};
    arguments.flags = CLONE_PIDFD | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWCGROUP;
    arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    arguments.exit_signal = SIGCHLD;
    const std::string socket = socket_path();
    const std::string share_path = share();
    const std::array<const char*, 12> argv{
        CPPVM_TEST_AGENT,
        "--listen-unix",
        socket.c_str(),
        "--hello-unix",
        hello_path.c_str(),
        "--share",
        share_path.c_str(),
        "--cgroup",
        cgroup_.c_str(),
        "--log-level",
        "debug",
        nullptr
    };
    pid_ = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    if (pid_ == 0) {
        // A time-out of ctest kills the test program, and then nobody else would end the agent.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
        ::setenv("ASAN_OPTIONS", "detect_leaks=0", 1); // it cannot trace PID 1
        ::execv(argv[0], const_cast<char**>(argv.data()));
        ::_exit(127);
    }
    check(pid_ > 0, "clone agent");
    pidfd_ = UniqueFd(pidfd);
}

AgentProcess::~AgentProcess() {
    if (pidfd_) {
        ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
        ::waitpid(pid_, nullptr, 0);
    }
    EXPECT_EQ(cgroups(), 0U) << "cgroups are left";
    std::vector<std::filesystem::path> left;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(cgroup_)) {
        if (entry.is_directory()) {
            left.push_back(entry.path());
        }
    }
    for (const auto& cgroup : std::views::reverse(left)) {
        ::rmdir(cgroup.c_str());
    }
    EXPECT_EQ(::rmdir(cgroup_.c_str()), 0) << std::strerror(errno);
    ::umount2((directory_ / "cgroup").c_str(), MNT_DETACH);
    ::umount2(share().c_str(), MNT_DETACH);
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
}

std::filesystem::path AgentProcess::make_rootfs(const std::string& id) const {
    const std::filesystem::path root = share() / id / "rootfs";
    std::filesystem::create_directories(root / "bin");
    std::filesystem::copy_file("/bin/busybox", root / "bin/busybox");
    for (const char* applet :
         {"sh",     "cat",  "echo",  "ls",     "sleep",   "id",    "env",      "true",
          "false",  "head", "stty",  "tty",    "sha1sum", "dd",    "hostname", "mount",
          "grep",   "ps",   "touch", "mkdir",  "wc",      "kill",  "readlink", "stat",
          "umount", "test", "pwd",   "ionice", "uname",   "chmod", "mknod"}) {
        std::filesystem::create_symlink("busybox", root / "bin" / applet);
    }
    return root;
}

bool AgentProcess::is_idle() const {
    // The number of the system call that it is blocked in, or "running" (proc_pid_syscall(5)).
    std::ifstream file("/proc/" + std::to_string(pid_) + "/syscall");
    std::string call;
    file >> call;
    return call == std::to_string(SYS_epoll_wait) || call == std::to_string(SYS_epoll_pwait);
}

std::map<int, std::string> AgentProcess::open_descriptors() const {
    std::map<int, std::string> targets;
    const std::filesystem::path path = "/proc/" + std::to_string(pid_) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
        std::error_code error; // it may be closed by now
        const std::filesystem::path target = std::filesystem::read_symlink(entry, error);
        if (!error) {
            targets[std::atoi(entry.path().filename().c_str())] = target;
        }
    }
    return targets;
}

std::map<pid_t, pid_t> AgentProcess::descendants() const {
    std::map<pid_t, pid_t> parents;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const pid_t pid = std::atoi(entry.path().filename().c_str());
        std::ifstream status(entry.path() / "status");
        std::string line;
        while (pid > 0 && std::getline(status, line)) {
            if (line.starts_with("PPid:")) {
                parents[pid] = std::atoi(line.c_str() + 5);
            }
        }
    }
    // Orphans fall to their namespace's PID 1, so all are descendants of the agent.
    std::map<pid_t, pid_t> found;
    for (const auto& [pid, parent] : parents) {
        pid_t ancestor = parent;
        while (ancestor > 0 && ancestor != pid_) {
            const auto next = parents.find(ancestor);
            ancestor = next == parents.end() ? 0 : next->second;
        }
        if (ancestor == pid_) {
            found.emplace(pid, parent);
        }
    }
    return found;
}

std::size_t AgentProcess::mounts() const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/mountinfo");
    std::string line;
    std::size_t count = 0;
    while (std::getline(file, line)) {
        count += line.find(directory_.native()) != std::string::npos ? 1 : 0;
    }
    return count;
}

std::size_t AgentProcess::cgroups() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(cgroup_)) {
        count += entry.is_directory() ? 1 : 0;
    }
    return count;
}

int AgentProcess::wait_end() {
    if (!wait_pidfd(pidfd_.get(), start_limit_ms)) {
        throw Error(Code::deadline_exceeded, "wait for the agent's end: timed out");
    }
    int status = 0;
    check(::waitpid(pid_, &status, 0) == pid_, "waitpid");
    pidfd_.reset();
    return status;
}

} // namespace cppvm::testing
