#include "host/io/fifo.hpp"

#include "common/async/adopt.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <boost/asio/write.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

namespace cppvm::io {

namespace {

// The kernel wakes no writer when a reader opens a fifo, so its coming has to be looked for.
constexpr auto reader_check_interval = std::chrono::milliseconds(100);
// Whether a reader has read all; it mostly has at once.
constexpr auto first_read_check = std::chrono::microseconds(100);
constexpr auto last_read_check = std::chrono::milliseconds(10);
constexpr auto max_reader_silence = std::chrono::seconds(1);

} // namespace

PathHandle::PathHandle(std::string_view stream, std::string path)
    : stream_(stream), path_(std::move(path)), fd_(::open(path_.c_str(), O_PATH | O_CLOEXEC)) {
    if (!fd_) {
        throw_errno("open " + stream_, path_);
    }
    if (::fstat(fd_.get(), &status_) != 0) {
        throw_errno("stat " + stream_, path_);
    }
}

UniqueFd PathHandle::open(int flags) const {
    const std::string self = "/proc/self/fd/" + std::to_string(fd_.get());
    UniqueFd fd(::open(self.c_str(), flags | O_CLOEXEC | O_NOCTTY));
    if (!fd) {
        throw_errno("open " + stream_, path_);
    }
    return fd;
}

DescriptorSink::DescriptorSink(const asio::any_io_executor& executor, const PathHandle& path)
    : write_end_(executor), is_fifo_(path.is_fifo()), name_(path.path()) {
    if (is_fifo_) {
        // In this order: opening the write end fails with ENXIO while there is no reader.
        read_end_ = path.open(O_RDONLY | O_NONBLOCK);
    }
    adopt(write_end_, path.open(O_WRONLY | O_APPEND | O_NONBLOCK));
}

DescriptorSink::DescriptorSink(
    const asio::any_io_executor& executor, UniqueFd write_end, std::string name
)
    : write_end_(executor), name_(std::move(name)) {
    set_nonblocking(write_end.get(), true);
    adopt(write_end_, std::move(write_end));
}

Awaitable<> DescriptorSink::write(std::span<const std::byte> data) {
    auto [error, size] =
        co_await asio::async_write(write_end_, asio::buffer(data.data(), data.size()), use_tuple);
    if (error == asio::error::operation_aborted) {
        throw boost::system::system_error(error);
    }
    if (error) {
        throw_errno("write to", name_, error.value());
    }
}

std::size_t DescriptorSink::unread() noexcept {
    int bytes = 0;
    return ::ioctl(write_end_.native_handle(), FIONREAD, &bytes) == 0
               ? static_cast<std::size_t>(bytes)
               : 0;
}

bool DescriptorSink::has_reader() noexcept {
    pollfd entry{write_end_.native_handle(), POLLOUT, 0};
    return ::poll(&entry, 1, 0) != 1 || (entry.revents & POLLERR) == 0;
}

// What is in a fifo is gone when its last end closes. With containerd away, the last end is ours:
// hold on until it is back. Nor does the kernel wake a writer when its fifo has become empty.
Awaitable<> DescriptorSink::wait_until_read() {
    read_end_.reset();
    asio::steady_timer timer(write_end_.get_executor());
    std::size_t before = unread();
    std::chrono::steady_clock::duration pause = first_read_check;
    std::chrono::steady_clock::duration still{};
    while (before > 0 && still < max_reader_silence) {
        const bool present = has_reader();
        timer.expires_after(present ? pause : reader_check_interval);
        co_await timer.async_wait(asio::use_awaitable);
        const std::size_t now = unread();
        still = present && now == before ? still + pause : std::chrono::steady_clock::duration();
        pause = std::min<std::chrono::steady_clock::duration>(pause * 2, last_read_check);
        before = now;
    }
}

Awaitable<> DescriptorSink::finish() {
    if (is_fifo_) {
        co_await wait_until_read();
    }
    boost::system::error_code ignored;
    write_end_.close(ignored);
}

InputFifo::InputFifo(const asio::any_io_executor& executor, const PathHandle& path)
    : read_end_(executor), name_(path.path()) {
    if (!path.is_fifo() && !path.is_character_device()) {
        throw Error(Code::invalid_argument, "open stdin " + name_ + ": not a fifo");
    }
    UniqueFd read_end = path.open(O_RDONLY | O_NONBLOCK);
    if (path.is_fifo()) {
        write_end_ = path.open(O_WRONLY | O_NONBLOCK);
    }
    adopt(read_end_, std::move(read_end));
}

Awaitable<> InputFifo::wait_readable() {
    auto [error] =
        co_await read_end_.async_wait(asio::posix::stream_descriptor::wait_read, use_tuple);
    // Devices such as /dev/null cannot be polled, and are always readable.
    if (error && error != asio::error::operation_not_supported) {
        throw boost::system::system_error(error);
    }
}

std::optional<std::size_t> InputFifo::read_some(std::span<std::byte> buffer) {
    if (!read_end_.is_open()) {
        throw boost::system::system_error(asio::error::operation_aborted);
    }
    const ssize_t size = ::read(read_end_.native_handle(), buffer.data(), buffer.size());
    if (size >= 0) {
        return static_cast<std::size_t>(size);
    }
    if (errno == EAGAIN || errno == EINTR) {
        return std::nullopt;
    }
    throw_errno("read", name_);
}

void InputFifo::close() noexcept {
    boost::system::error_code ignored;
    read_end_.close(ignored);
    write_end_.reset();
}

} // namespace cppvm::io
