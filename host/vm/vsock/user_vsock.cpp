#include "common/async/first_of.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/unix_connection.hpp"
#include "host/vm/directory_watch.hpp"
#include "host/vm/helper_confinement.hpp"
#include "host/vm/helper_directory.hpp"
#include "host/vm/helper_process.hpp"
#include "host/vm/unix_socket.hpp"
#include "host/vm/vsock/vsock.hpp"

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

ChildSpec command(
    const std::filesystem::path& program,
    const std::filesystem::path& directory,
    const std::optional<uid_t>& user
) {
    ChildSpec spec;
    spec.arguments = {
        program,
        "--guest-cid=" + std::to_string(guest_cid),
        "--uds-path=" + (directory / host_socket_name).native(),
        "--socket=" + (directory / device_socket_name).native(),
    };
    if (user) {
        spec.confinement = confine_vsock_device(*user, program, directory);
    }
    return spec;
}

std::string boot_socket_name() {
    return std::string(host_socket_name) + "_" + std::to_string(host_boot_port);
}

class UserVsock : public Vsock {
  public:
    UserVsock(
        const asio::any_io_executor& executor,
        const std::filesystem::path& program,
        const std::filesystem::path& run_dir,
        const std::optional<uid_t>& user
    )
        : program_(program), directory_(user_vsock_directory(run_dir), user),
          watch_(std::in_place, executor, directory_.path()),
          acceptor_(listen_unix(executor, directory_ / boot_socket_name())),
          process_(
              std::in_place,
              executor,
              command(program, directory_.path(), user),
              run_dir / user_vsock_pid_file
          ) {
        directory_.give(boot_socket_name());
    }

    Awaitable<> prepare(Deadline deadline) override {
        co_await process_->wait_socket(directory_ / device_socket_name, *watch_, deadline);
        watch_.reset(); // a host has few inotify instances for each user
    }

    std::optional<std::filesystem::path> device_socket() const override {
        return directory_ / device_socket_name;
    }

    void set_guest_cid(std::uint32_t /*cid*/) noexcept override {}

    std::uint32_t boot_port() const noexcept override { return host_boot_port; }

    Awaitable<StreamSocket> accept() override {
        for (;;) {
            auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
            if (process_ && peer_of(socket).pid == process_->pid()) {
                co_return StreamSocket(std::move(socket));
            }
        }
    }

    void stop_listening() noexcept override {
        boost::system::error_code ignored;
        acceptor_.close(ignored);
        ::unlink((directory_ / boot_socket_name()).c_str());
    }

    void end() noexcept override {
        stop_listening();
        process_.reset();
    }

    Awaitable<StreamSocket> dial(std::uint32_t port) override {
        const std::string what = "connect to vsock port " + std::to_string(port) + " of the guest";
        auto socket = co_await connect_unix(directory_ / host_socket_name);
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

    std::filesystem::path program_;
    HelperDirectory directory_; // goes after the process, which may be about to make its sockets
    std::optional<DirectoryWatch> watch_;
    asio::local::stream_protocol::acceptor acceptor_;
    std::optional<HelperProcess> process_;
};

} // namespace

std::unique_ptr<Vsock> make_user_vsock(
    const asio::any_io_executor& executor,
    const std::filesystem::path& program,
    const std::filesystem::path& run_dir,
    std::optional<uid_t> user
) {
    return std::make_unique<UserVsock>(executor, program, run_dir, user);
}

std::filesystem::path user_vsock_directory(const std::filesystem::path& run_dir) {
    return run_dir / "vsock";
}

} // namespace cppvm::vm
