#pragma once

#include "common/async/asio.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/os/file.hpp"
#include "common/wire/stream_frame.hpp"
#include "host/io/process_io.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/log_capture.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <vector>

namespace cppvm::io {

using testing::co_test;
using testing::LogCapture;
using testing::TempDir;

/// `size` bytes that differ everywhere, so that a lost or doubled piece shows.
inline std::string noise(std::size_t size) {
    std::string data(size, '\0');
    std::uint64_t state = 0x9e3779b97f4a7c15;
    for (char& byte : data) {
        state = state * 6364136223846793005 + 1442695040888963407;
        byte = static_cast<char>(state >> 56);
    }
    return data;
}

inline std::string frame(std::string_view payload) {
    const auto header = wire::encode_frame_header(static_cast<std::uint32_t>(payload.size()));
    return std::string(header.begin(), header.end()).append(payload);
}

/// The guest's end of one stream.
class GuestEnd {
  public:
    explicit GuestEnd(StreamSocket socket) : socket(std::move(socket)) {}

    Awaitable<> send(std::string bytes) {
        co_await asio::async_write(socket, asio::buffer(bytes), asio::use_awaitable);
    }

    /// All of `data` in frames, then the end, then waits until the host has confirmed that.
    Awaitable<> send_stream(std::string data) {
        for (std::size_t at = 0; at < data.size(); at += wire::max_frame_payload) {
            co_await send(frame(std::string_view(data).substr(at, wire::max_frame_payload)));
        }
        co_await send(frame(""));
        while (co_await receive_confirmation() != data.size() + 1) {
        }
    }

    Awaitable<std::uint64_t> receive_confirmation() {
        std::array<std::uint8_t, wire::confirmation_size> bytes{};
        co_await asio::async_read(socket, asio::buffer(bytes), asio::use_awaitable);
        co_return wire::decode_confirmation(bytes);
    }

    Awaitable<> confirm(std::uint64_t word) {
        const auto bytes = wire::encode_confirmation(word);
        co_await asio::async_write(socket, asio::buffer(bytes), asio::use_awaitable);
    }

    Awaitable<> wait_closed() {
        std::array<char, 1> byte{};
        auto [error, size] = co_await socket.async_read_some(asio::buffer(byte), use_tuple);
        EXPECT_TRUE(error == asio::error::eof || error == asio::error::connection_reset)
            << error.message();
    }

    /// The next frame's payload, which it confirms; empty: the end.
    Awaitable<std::string> receive() {
        std::array<std::uint8_t, wire::frame_header_size> header{};
        co_await asio::async_read(socket, asio::buffer(header), asio::use_awaitable);
        std::string payload(wire::decode_frame_header(header).value(), '\0');
        co_await asio::async_read(socket, asio::buffer(payload), asio::use_awaitable);
        received += payload.size();
        co_await confirm(received + (payload.empty() ? 1 : 0));
        co_return payload;
    }

    /// Until `size` bytes have come.
    Awaitable<std::string> receive_bytes(std::size_t size) {
        std::string data;
        while (data.size() < size) {
            data += co_await receive();
        }
        co_return data;
    }

    void close() { socket.close(); }

    StreamSocket socket;
    std::uint64_t received = 0;
};

/// A client's end of a fifo, as containerd opens it.
class ClientEnd {
  public:
    ClientEnd(const asio::any_io_executor& executor, const std::string& path, int flags)
        : stream(executor, open_file(path, flags | O_NONBLOCK).release()) {}

    Awaitable<> send(std::string bytes) {
        co_await asio::async_write(stream, asio::buffer(bytes), asio::use_awaitable);
    }

    Awaitable<std::string> receive_bytes(std::size_t size) {
        std::string data(size, '\0');
        co_await asio::async_read(stream, asio::buffer(data), asio::use_awaitable);
        co_return data;
    }

    /// Adds what comes to `data`, until the end.
    Awaitable<> receive_into(std::string& data) {
        std::array<char, 65536> buffer{};
        for (;;) {
            auto [error, size] = co_await stream.async_read_some(asio::buffer(buffer), use_tuple);
            data.append(buffer.data(), size);
            if (error) {
                EXPECT_EQ(error, asio::error::eof) << error.message();
                co_return;
            }
        }
    }

    Awaitable<std::string> receive_all() {
        std::string data;
        co_await receive_into(data);
        co_return data;
    }

    asio::posix::stream_descriptor stream;
};

inline std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
        ++count;
    }
    return count;
}

/// Fifos in a directory of their own, and a ProcessIo with guest ends.
class ProcessIoTest : public ::testing::Test {
  protected:
    ProcessIoTest() { std::signal(SIGPIPE, SIG_IGN); } // as the daemon does

    /// co_test; the guest's ends go before the loop does.
    void run(Awaitable<> body) { co_test(run_then_close(std::move(body))); }

    std::string fifo(const std::string& name) const {
        const auto path = dir / name;
        EXPECT_EQ(::mkfifo(path.c_str(), 0700), 0);
        return path;
    }

    Awaitable<std::unique_ptr<ProcessIo>> open(StdioSpec spec) {
        auto executor = co_await asio::this_coro::executor;
        co_return co_await ProcessIo::open(executor, log.logger(), spec, "default", "box");
    }

    std::optional<GuestStream>
    make_stream(const asio::any_io_executor& executor, std::optional<GuestEnd>& guest) {
        asio::local::stream_protocol::socket ours(executor);
        asio::local::stream_protocol::socket theirs(executor);
        asio::local::connect_pair(ours, theirs);
        guest.emplace(StreamSocket(std::move(theirs)));
        return GuestStream(
            StreamSocket(std::move(ours)),
            [this, executor, &guest](std::uint64_t received) {
                return resume(executor, guest, received);
            }
        );
    }

    /// Opens and attaches every stream that the process has.
    Awaitable<std::unique_ptr<ProcessIo>> start(StdioSpec spec) {
        auto executor = co_await asio::this_coro::executor;
        auto io = co_await open(spec);
        std::optional<GuestStream> streams[3];
        if (io->has_stdin()) {
            streams[0] = make_stream(executor, guest_in);
        }
        if (io->has_stdout()) {
            streams[1] = make_stream(executor, guest_out);
        }
        if (io->has_stderr()) {
            streams[2] = make_stream(executor, guest_err);
        }
        io->attach(std::move(streams[0]), std::move(streams[1]), std::move(streams[2]));
        co_return io;
    }

    // A further connection, unless a test says that there is none.
    Awaitable<std::optional<stream::Connection>>
    resume(asio::any_io_executor executor, std::optional<GuestEnd>& guest, std::uint64_t received) {
        resumed_at.push_back(received);
        if (!can_resume) {
            co_return std::nullopt;
        }
        auto next = make_stream(executor, guest);
        co_return stream::Connection{next->socket, guest_received};
    }

    Awaitable<> run_then_close(Awaitable<> body) {
        const ScopeExit close([this] {
            guest_in.reset();
            guest_out.reset();
            guest_err.reset();
        });
        co_await std::move(body);
    }

    TempDir dir;
    LogCapture log;
    std::optional<GuestEnd> guest_in;
    std::optional<GuestEnd> guest_out;
    std::optional<GuestEnd> guest_err;
    bool can_resume = false;
    std::uint64_t guest_received = 0;      ///< what the guest says when a stream is resumed
    std::vector<std::uint64_t> resumed_at; ///< what the host said
};

} // namespace cppvm::io
