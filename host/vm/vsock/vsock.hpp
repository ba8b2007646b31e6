#pragma once

#include "common/async/asio.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <sys/types.h>

namespace cppvm::vm {

/// One machine's vsock, whoever carries it: connections to the guest's ports, and the port on the
/// host where the guest says hello.
///
/// Owns: its sockets and helper process; the destructor ends them without waiting for anybody else.
/// Thread: the loop's only.
class Vsock {
  public:
    Vsock() = default;
    Vsock(const Vsock&) = delete;
    Vsock& operator=(const Vsock&) = delete;
    virtual ~Vsock() = default;

    /// Until it can be used for a domain. Throws: Error. Cancels: then it must not be used.
    virtual Awaitable<> prepare(Deadline deadline) = 0;

    /// The socket that QEMU uses as vhost-user device; nothing where the kernel carries it.
    virtual std::optional<std::filesystem::path> device_socket() const = 0;

    /// The address that libvirt chose. Before `accept` and `dial`, where the kernel carries it.
    virtual void set_guest_cid(std::uint32_t cid) noexcept = 0;

    /// The port on which this listens for the guest, from the start.
    virtual std::uint32_t boot_port() const noexcept = 0;

    /// The next connection of this guest, and of nobody else, to the boot port.
    /// Throws: Error, or the cancellation of `stop_listening`.
    virtual Awaitable<StreamSocket> accept() = 0;

    /// Closes the boot port. A pending `accept` ends with an abort.
    virtual void stop_listening() noexcept = 0;

    /// Ends the process that carries it, if there is one, and the listening. Then only the
    /// destructor may follow, and the ends of what is pending.
    virtual void end() noexcept = 0;

    /// Connects to a port of the guest. Throws: Error (unavailable). Cancels: the attempt.
    virtual Awaitable<StreamSocket> dial(std::uint32_t port) = 0;
};

/// By the kernel's vhost-vsock: AF_VSOCK, vsock(7). Throws: Error.
std::unique_ptr<Vsock> make_kernel_vsock(const asio::any_io_executor& executor);

/// By a vhost-device-vsock process of its own, with its pid file in `run_dir` and its sockets in a
/// directory there. It runs as `user`, confined (confine_vsock_device); without one, which is for
/// tests that are not root, as we do. Guest and
/// host talk through unix sockets: the host connects to one and names the guest's port
/// ("CONNECT <port>\n", answered by "OK <n>\n"), the guest's connections to host port n arrive at
/// "<socket>_<n>" (https://github.com/rust-vmm/vhost-device/tree/main/vhost-device-vsock).
/// Throws: Error.
std::unique_ptr<Vsock> make_user_vsock(
    const asio::any_io_executor& executor,
    const std::filesystem::path& program,
    const std::filesystem::path& run_dir,
    std::optional<uid_t> user
);

/// What make_user_vsock leaves in the run dir when this process is killed.
inline constexpr const char* user_vsock_pid_file = "vhost-device-vsock.pid";
std::filesystem::path user_vsock_directory(const std::filesystem::path& run_dir);

} // namespace cppvm::vm
