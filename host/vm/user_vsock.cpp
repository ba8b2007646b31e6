#include "common/async/first_of.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "host/vm/directory_watch.hpp"
#include "host/vm/helper_process.hpp"
#include "host/vm/unix_socket.hpp"
#include "host/vm/vsock.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <string>
#include <unistd.h>

namespace cppvm::vm {

namespace {

// Each process carries one guest, so the numbers need not differ between machines.
constexpr std::uint32_t guest_cid = 3;
constexpr std::uint32_t host_boot_port = 1025;

constexpr const char* host_socket_name = "vsock.sock";
constexpr const char* device_socket_name = "vhost-vsock.sock";

std::filesystem::path boot_socket(const std::filesystem::path& run_dir) {
    return run_dir / (std::string(host_socket_name) + "_" + std::to_string(host_boot_port));
}

ChildSpec command(const std::filesystem::path& program, const std::filesystem::path& run_dir) {
    const std::string host_socket = run_dir / host_socket_name;
    const std::string device_socket = run_dir / device_socket_name;
    // What a killed predecessor left would be taken for the new one's.
    ::unlink(host_socket.c_str());
    ::unlink(device_socket.c_str());
    ChildSpec spec;
    spec.arguments = {
        program,
        "--guest-cid=" + std::to_string(guest_cid),
        "--uds-path=" + host_socket,
        "--socket=" + device_socket,
    };
    return spec;
}

class UserVsock : public Vsock {
  public:
    UserVsock(
        const asio::any_io_executor& executor,
        const std::filesystem::path& program,
        const std::filesystem::path& run_dir
    )
        : run_dir_(run_dir), program_(program), files_(run_dir), watch_(executor, run_dir),
          acceptor_(listen_unix(executor, boot_socket(run_dir))),
          process_(executor, command(program, run_dir), run_dir / user_vsock_pid_file) {}

    Awaitable<> prepare(Deadline deadline) override {
        const auto socket = run_dir_ / device_socket_name;
        check_socket_path(socket);
        const auto there = [&socket] { return ::access(socket.c_str(), F_OK) == 0; };
        co_await with_timeout(
            first_of(watch_.wait_until(there), throw_when_ended()),
            deadline,
            "start " + program_.native()
        );
    }

    std::optional<std::filesystem::path> device_socket() const override {
        return run_dir_ / device_socket_name;
    }

    void set_guest_cid(std::uint32_t /*cid*/) noexcept override {}

    std::uint32_t boot_port() const noexcept override { return host_boot_port; }

    Awaitable<StreamSocket> accept() override {
        for (;;) {
            auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
            if (peer_pid(socket) == process_.pid()) {
                co_return StreamSocket(std::move(socket));
            }
        }
    }

    void stop_listening() noexcept override {
        boost::system::error_code ignored;
        acceptor_.close(ignored);
    }

    Awaitable<StreamSocket> dial(std::uint32_t port) override {
        const std::string what = "connect to vsock port " + std::to_string(port) + " of the guest";
        auto socket = co_await connect_unix(run_dir_ / host_socket_name);
        const std::string request = "CONNECT " + std::to_string(port) + "\n";
        co_await asio::async_write(socket, asio::buffer(request), asio::use_awaitable);
        // One byte at a time: what follows the line belongs to the stream.
        std::string answer;
        while (!answer.ends_with('\n')) {
            char byte = 0;
            auto [error, count] =
                co_await asio::async_read(socket, asio::buffer(&byte, 1), use_tuple);
            if (error == asio::error::operation_aborted) {
                throw boost::system::system_error(error);
            }
            if (error || answer.size() > max_answer_bytes) {
                throw Error(Code::unavailable, what + ": refused; nobody listens there");
            }
            answer.append(1, byte);
        }
        if (!answer.starts_with("OK ")) {
            throw Error(Code::unavailable, what + ": unexpected answer of " + program_.native());
        }
        co_return StreamSocket(std::move(socket));
    }

  private:
    static constexpr std::size_t max_answer_bytes = 32;

    Awaitable<> throw_when_ended() {
        const ChildExit exit = co_await process_.wait();
        throw Error(Code::unavailable, process_.describe(exit));
    }

    // Goes after the process, which may be about to make its sockets.
    struct Files {
        explicit Files(std::filesystem::path directory) : run_dir(std::move(directory)) {}
        Files(const Files&) = delete;
        Files& operator=(const Files&) = delete;
        ~Files() {
            for (const auto& path : user_vsock_files(run_dir)) {
                ::unlink(path.c_str());
            }
        }
        std::filesystem::path run_dir;
    };

    std::filesystem::path run_dir_;
    std::filesystem::path program_;
    Files files_;
    DirectoryWatch watch_;
    asio::local::stream_protocol::acceptor acceptor_;
    HelperProcess process_;
};

} // namespace

std::unique_ptr<Vsock> make_user_vsock(
    const asio::any_io_executor& executor,
    const std::filesystem::path& program,
    const std::filesystem::path& run_dir
) {
    return std::make_unique<UserVsock>(executor, program, run_dir);
}

std::vector<std::filesystem::path> user_vsock_files(const std::filesystem::path& run_dir) {
    return {
        run_dir / host_socket_name,
        run_dir / device_socket_name,
        boot_socket(run_dir),
        run_dir / user_vsock_pid_file,
    };
}

} // namespace cppvm::vm
