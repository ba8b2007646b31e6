#include "common/async/first_of.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "host/vm/helper_process.hpp"
#include "host/vm/unix_socket.hpp"
#include "host/vm/vsock.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <string>
#include <sys/inotify.h>
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

// A watch on the directory that is made before the file can come, so that it cannot be missed.
class DirectoryWatch {
  public:
    DirectoryWatch(const asio::any_io_executor& executor, const std::filesystem::path& directory)
        : events_(executor) {
        UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        if (!fd || ::inotify_add_watch(fd.get(), directory.c_str(), IN_CREATE | IN_MOVED_TO) < 0) {
            throw_errno("watch", directory.native());
        }
        events_.assign(fd.release());
    }

    Awaitable<> wait_for(const std::filesystem::path& path) {
        std::array<char, 4096> events{};
        while (::access(path.c_str(), F_OK) != 0) {
            co_await events_.async_read_some(asio::buffer(events), asio::use_awaitable);
        }
    }

  private:
    asio::posix::stream_descriptor events_;
};

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
        : run_dir_(run_dir), program_(program), watch_(executor, run_dir),
          acceptor_(listen_unix(executor, boot_socket(run_dir))),
          process_(executor, command(program, run_dir), run_dir / user_vsock_pid_file) {}

    ~UserVsock() override {
        for (const auto& path : user_vsock_files(run_dir_)) {
            ::unlink(path.c_str());
        }
    }

    Awaitable<> prepare(Deadline deadline) override {
        check_socket_path(run_dir_ / device_socket_name);
        co_await with_timeout(
            first_of(watch_.wait_for(run_dir_ / device_socket_name), throw_when_ended()),
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

    std::filesystem::path run_dir_;
    std::filesystem::path program_;
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
