#include "guest-agent/boot/machine.hpp"

#include "common/async/event.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/wire/ports.hpp"
#include "guest-agent/boot/inherited_pages.hpp"
#include "guest-agent/boot/limits.hpp"
#include "guest-agent/boot/modules.hpp"
#include "guest-agent/disks/find_disk.hpp"
#include "guest-agent/disks/find_pci_device.hpp"
#include "guest-agent/network/configure.hpp"
#include "guest-agent/network/loopback.hpp"
#include "guest-agent/setup/sysctl.hpp"

#include <array>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <string>
#include <sys/socket.h>
// After sys/socket.h, which it relies on.
#include <linux/vm_sockets.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

constexpr const char* modules_list = "/etc/cppvm-modules";
constexpr const char* network_modules_list = "/etc/cppvm-network-modules";
constexpr const char* disk_modules_list = "/etc/cppvm-disk-modules";
constexpr const char* cgroup_path = "/sys/fs/cgroup";
constexpr std::size_t max_command_line = 64UL * 1024;

/// Puts a bind mount of the root on top of itself and moves into it. The initramfs's own mount has
/// no parent, and pivot_root(2) refuses to work from such a root: containers could not get theirs.
void stack_root() {
    make_directory("/.root", 0755);
    if (::mount("/", "/.root", nullptr, MS_BIND, nullptr) != 0) {
        throw_errno("bind", "initramfs");
    }
    if (::chdir("/.root") != 0 || ::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 ||
        ::chroot(".") != 0 || ::chdir("/") != 0) {
        throw_errno("move", "root");
    }
}

struct KernelMount {
    const char* type;
    const char* target;
    unsigned long flags;
    const char* data;
};

void mount_kernel_file_systems() {
    constexpr unsigned long closed = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    constexpr std::array<KernelMount, 6> mounts{{
        {"proc", "/proc", closed, nullptr},
        {"sysfs", "/sys", closed, nullptr},
        {"devtmpfs", "/dev", MS_NOSUID, "mode=0755"},
        {"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,ptmxmode=0666"},
        {"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755"},
        // As systemd mounts it: a container cannot lift the limits of its own cgroup, whose files
        // are the root's of its cgroup namespace; and its memory.low covers its nested cgroups.
        {"cgroup2", cgroup_path, closed, "nsdelegate,memory_recursiveprot"},
    }};
    for (const KernelMount& entry : mounts) {
        // sysfs makes the directory for cgroups itself, and lets nobody else.
        if (std::string_view(entry.target) != cgroup_path) {
            make_directory(entry.target, 0755);
        }
        // Some kernels have mounted devtmpfs themselves.
        if (::mount(entry.type, entry.target, entry.type, entry.flags, entry.data) != 0 &&
            errno != EBUSY) {
            throw_errno("mount", entry.target);
        }
    }
}

/// 0 to 2 must be open in any case: descriptors that are made later must not get these numbers.
void open_console() {
    UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    UniqueFd console(::open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (console) {
        // From here on only the kernel and this descriptor write to it: what a container could
        // write there would be taken for the kernel's last words. (Not those with CAP_SYS_ADMIN.)
        ::ioctl(console.get(), TIOCEXCL);
    }
    const int output = console ? console.get() : null.get();
    if (null.get() > 0) {
        ::dup2(null.get(), 0);
    } else {
        static_cast<void>(null.release());
    }
    for (const int fd : {1, 2}) {
        if (output >= 0 && output != fd) {
            ::dup2(output, fd);
        }
    }
    if (null.get() >= 0 && null.get() <= 2) {
        static_cast<void>(null.release());
    }
    if (console.get() >= 0 && console.get() <= 2) {
        static_cast<void>(console.release());
    }
}

void mount_shares() {
    make_directory("/run/cppvm", 0755);
    make_directory(wire::guest_share_path, 0755);
    const std::array<std::pair<const char*, const char*>, 2> shares{{
        {wire::roots_tag, wire::guest_roots_path},
        {wire::volumes_tag, wire::guest_volumes_path},
    }};
    for (const auto& [tag, path] : shares) {
        make_directory(path, 0755);
        if (::mount(tag, path, "virtiofs", MS_NODEV, nullptr) != 0) {
            throw_errno("mount virtiofs share at", path);
        }
    }
}

sockaddr_vm vsock_address(std::uint32_t cid, std::uint32_t port) {
    sockaddr_vm address{};
    address.svm_family = AF_VSOCK;
    address.svm_cid = cid;
    address.svm_port = port;
    return address;
}

} // namespace

Machine::Machine() {
    end_phase("kernel");
    try {
        stack_root();
        mount_kernel_file_systems();
    } catch (...) {
        early_failure_ = std::current_exception();
    }
    open_console();
    try {
        options_ = parse_kernel_command_line(read_file("/proc/cmdline", max_command_line));
    } catch (...) {
        early_failure_ = early_failure_ ? early_failure_ : std::current_exception();
    }
    end_phase("mounts");
}

void Machine::start(const Logger& logger) {
    if (early_failure_) {
        std::rethrow_exception(early_failure_);
    }
    // See isolate_child: for processes of containers that share the machine's pid namespace.
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    load_modules(modules_list);
    apply_machine_limits(logger); // after the modules, which bring some of them
    end_phase("modules");
    if (!options_.power_off) {
        mount_shares();
    }
    end_phase("share");
    bring_up_loopback();
    inherit_program_pages();
}

void Machine::end_phase(const char* name) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    phases_.push_back(
        {name,
         static_cast<std::uint64_t>(now.tv_sec) * 1000000 +
             static_cast<std::uint64_t>(now.tv_nsec) / 1000}
    );
}

std::string Machine::share() const {
    return wire::guest_share_path;
}

std::filesystem::path Machine::cgroup_root() const {
    return cgroup_path;
}

UniqueFd Machine::listen() {
    UniqueFd socket(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_vm address = vsock_address(VMADDR_CID_ANY, wire::agent_port);
    if (!socket ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(socket.get(), SOMAXCONN) != 0) {
        throw_errno("listen at", "vsock port " + std::to_string(wire::agent_port));
    }
    return socket;
}

bool Machine::is_from_host(int connection) const {
    sockaddr_vm peer{};
    socklen_t size = sizeof peer;
    // A process of a container could connect through the loopback transport, with another CID.
    return ::getpeername(connection, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
           peer.svm_family == AF_VSOCK && peer.svm_cid == wire::host_cid;
}

Awaitable<std::optional<StreamSocket>> Machine::dial_host() {
    if (!options_.boot_port) {
        co_return std::nullopt;
    }
    auto executor = co_await asio::this_coro::executor;
    StreamSocket socket(executor, asio::generic::stream_protocol(AF_VSOCK, 0));
    const sockaddr_vm address = vsock_address(wire::host_cid, *options_.boot_port);
    co_await socket.async_connect(
        StreamSocket::endpoint_type(&address, sizeof address), asio::use_awaitable
    );
    co_return socket;
}

void Machine::change_clock(const ClockChange& change) {
    constexpr std::int64_t second = 1000000000;
    timex words{};
    if (change.step_ns != 0) {
        words.modes = ADJ_SETOFFSET | ADJ_NANO;
        words.time.tv_sec = change.step_ns / second;
        words.time.tv_usec = change.step_ns % second;
        if (words.time.tv_usec < 0) { // the part below a second is never negative
            words.time.tv_sec -= 1;
            words.time.tv_usec += second;
        }
    } else {
        words.modes = ADJ_OFFSET_SINGLESHOT; // adjtime(3)
        words.offset = change.slew_ns / 1000;
    }
    if (::clock_adjtime(CLOCK_REALTIME, &words) < 0) {
        throw_errno("change", "clock");
    }
}

void Machine::configure_pod(
    const std::string& hostname, const std::map<std::string, std::string>& sysctls
) {
    if (!hostname.empty() && ::sethostname(hostname.data(), hostname.size()) != 0) {
        throw_errno("set hostname", hostname.substr(0, 128));
    }
    write_sysctls(sysctls, 0);
}

// The modules only now: most machines of a host may have no NIC.
Awaitable<std::vector<std::string>> Machine::set_network(network::State wanted, Deadline deadline) {
    if (!wanted.interfaces.empty()) {
        load_modules(network_modules_list);
    }
    co_return co_await configure_network(std::move(wanted), deadline);
}

// The module likewise.
Awaitable<Disk> Machine::find_disk(std::string serial, Deadline deadline) {
    load_modules(disk_modules_list);
    co_return co_await guest::find_disk(std::move(serial), deadline);
}

Awaitable<> Machine::find_pci_device(std::string port, Deadline deadline) {
    co_await guest::find_pci_device(std::move(port), deadline);
}

Awaitable<std::set<network::ListeningPort>> Machine::next_listeners() {
    if (!listen_watch_) {
        listen_watch_.emplace(co_await asio::this_coro::executor); // before the look
    } else {
        co_await listen_watch_->wait();
    }
    co_return read_listeners();
}

Awaitable<> Machine::wait_end(asio::any_io_executor executor) {
    Event never(executor);
    co_await never.wait();
}

void Machine::power_off() {
    power_machine_off();
}

void power_machine_off() noexcept {
    ::sync();
    ::reboot(RB_POWER_OFF);
    // Only without the right to: then there is nothing left to be done, but PID 1 must not end.
    for (;;) {
        ::pause();
    }
}

} // namespace cppvm::guest
