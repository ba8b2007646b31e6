#include "common/async/adopt.hpp"
#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "host/vm/vsock/vsock.hpp"

#include <boost/asio/basic_socket_acceptor.hpp>

#include <algorithm>
#include <cerrno>
#include <linux/vm_sockets.h>
#include <string>
#include <sys/random.h>
#include <sys/socket.h>

namespace cppvm::vm {

namespace {

using Protocol = asio::generic::stream_protocol;

sockaddr_vm address(std::uint32_t cid, std::uint32_t port) noexcept {
    sockaddr_vm result{};
    result.svm_family = AF_VSOCK;
    result.svm_cid = cid;
    result.svm_port = port;
    return result;
}

// The kernel would hand out ascending numbers, and every guest can read its own: it must not be
// able to guess those of the next ones, and fill their queues.
std::uint32_t bind_random_port(int socket) {
    constexpr int attempts = 16;
    constexpr std::uint32_t lowest = 1U << 31U; // far from the well-known ones
    for (int i = 0; i < attempts; ++i) {
        std::uint32_t port = 0;
        if (::getrandom(&port, sizeof port, 0) != sizeof port) {
            throw_errno("draw", "a vsock port");
        }
        port = std::min(port | lowest, VMADDR_PORT_ANY - 1);
        const sockaddr_vm local = address(VMADDR_CID_ANY, port);
        if (::bind(socket, reinterpret_cast<const sockaddr*>(&local), sizeof local) == 0) {
            return port;
        }
        if (errno != EADDRINUSE) {
            break;
        }
    }
    throw_errno("bind", "a vsock port");
}

class KernelVsock : public Vsock {
  public:
    explicit KernelVsock(const asio::any_io_executor& executor) : acceptor_(executor) {
        UniqueFd socket(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (!socket) {
            throw_errno("make", "a vsock socket");
        }
        boot_port_ = bind_random_port(socket.get());
        // The queue is long because any guest of the host can connect; what others put into it
        // before the first accept is dropped there, and our agent dials again if it was full.
        if (::listen(socket.get(), SOMAXCONN) != 0) {
            throw_errno("listen on", "a vsock port");
        }
        adopt(acceptor_, std::move(socket), Protocol(AF_VSOCK, 0));
    }

    Awaitable<> prepare(Deadline /*deadline*/) override { co_return; }

    std::optional<std::filesystem::path> device_socket() const override { return std::nullopt; }

    void set_guest_cid(std::uint32_t cid) noexcept override { guest_cid_ = cid; }

    std::uint32_t boot_port() const noexcept override { return boot_port_; }

    Awaitable<StreamSocket> accept() override {
        for (;;) {
            Protocol::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
            sockaddr_vm peer{};
            socklen_t size = sizeof peer;
            // AF_VSOCK knows no namespaces: every guest of the host can connect to this port.
            if (::getpeername(socket.native_handle(), reinterpret_cast<sockaddr*>(&peer), &size) ==
                    0 &&
                peer.svm_cid == guest_cid_) {
                co_return socket;
            }
        }
    }

    void stop_listening() noexcept override {
        boost::system::error_code ignored;
        acceptor_.close(ignored);
    }

    void end() noexcept override { stop_listening(); }

    Awaitable<StreamSocket> dial(std::uint32_t port) override {
        auto executor = co_await asio::this_coro::executor;
        StreamSocket socket(executor);
        const sockaddr_vm remote = address(guest_cid_, port);
        auto [error] =
            co_await socket.async_connect(Protocol::endpoint(&remote, sizeof remote), use_tuple);
        if (error == asio::error::operation_aborted) {
            throw boost::system::system_error(error);
        }
        if (error) {
            throw Error(
                Code::unavailable,
                "connect to vsock port " + std::to_string(port) +
                    " of the guest: " + error.message(),
                error
            );
        }
        co_return socket;
    }

  private:
    asio::basic_socket_acceptor<Protocol> acceptor_;
    std::uint32_t boot_port_ = 0;
    std::uint32_t guest_cid_ = VMADDR_CID_ANY; // matches no peer
};

} // namespace

std::unique_ptr<Vsock> make_kernel_vsock(const asio::any_io_executor& executor) {
    return std::make_unique<KernelVsock>(executor);
}

} // namespace cppvm::vm
