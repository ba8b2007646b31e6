// The answer of vhost-device-vsock to "CONNECT <port>": the line is taken off, and not a byte more.
// The test plays its socket; a shell that sleeps stands for its process.

#include "common/async/run.hpp"
#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "host/vm/unix_socket.hpp"
#include "host/vm/vsock/vsock.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace {

using namespace cppvm;
namespace fs = std::filesystem;

constexpr std::size_t max_input = 4096;

class Device {
  public:
    Device() {
        std::ofstream(program()) << "#!/bin/sh\nexec sleep 1000000\n";
        fs::permissions(program(), fs::perms::owner_all);
        vsock_ = vm::make_user_vsock(loop_.get_executor(), program(), directory_, {});
        acceptor_.emplace(vm::listen_unix(
            loop_.get_executor(), vm::user_vsock_directory(directory_) / "vsock.sock"
        ));
    }
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    ~Device() {
        vsock_.reset();
        fs::remove_all(directory_);
    }

    void answer(std::string_view bytes) {
        asio::co_spawn(loop_, serve(bytes), [](const std::exception_ptr& failure) {
            CPPVM_ASSERT(!failure);
        });
        run_until_done(loop_, dial(bytes));
        loop_.restart();
        loop_.poll();
        loop_.restart();
    }

  private:
    fs::path program() const { return directory_ / "program"; }

    Awaitable<> serve(std::string_view bytes) {
        auto socket = co_await acceptor_->async_accept(asio::use_awaitable);
        co_await asio::async_write(socket, asio::buffer(bytes), use_tuple);
    }

    Awaitable<> dial(std::string_view bytes) {
        try {
            StreamSocket stream = co_await vsock_->dial(1024);
            const std::size_t line = bytes.find('\n');
            CPPVM_ASSERT(line != std::string_view::npos && bytes.starts_with("OK "));
            std::string rest(max_input, '\0');
            auto [error, size] = co_await asio::async_read(stream, asio::buffer(rest), use_tuple);
            CPPVM_ASSERT(rest.substr(0, size) == bytes.substr(line + 1));
        } catch (const Error& error) {
            CPPVM_ASSERT(error.code() == Code::unavailable);
        }
    }

    std::string name_ = "/tmp/cppvm-fuzz-vsock.XXXXXX";
    fs::path directory_ = ::mkdtemp(name_.data());
    asio::io_context loop_;
    std::unique_ptr<vm::Vsock> vsock_;
    std::optional<asio::local::stream_protocol::acceptor> acceptor_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Device device;
    device.answer({reinterpret_cast<const char*>(data), std::min(size, max_input)});
    return 0;
}
