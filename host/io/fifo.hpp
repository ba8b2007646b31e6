#pragma once

#include "common/base/unique_fd.hpp"
#include "host/io/input_source.hpp"
#include "host/io/output_sink.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <string>
#include <sys/stat.h>

namespace cppvm::io {

/// A path that was looked up once, so that every later step means the same file.
class PathHandle {
  public:
    /// Throws: Error naming stream and path.
    PathHandle(std::string_view stream, std::string path);

    bool is_fifo() const noexcept { return S_ISFIFO(status_.st_mode); }
    bool is_regular() const noexcept { return S_ISREG(status_.st_mode); }
    bool is_character_device() const noexcept { return S_ISCHR(status_.st_mode); }
    const std::string& path() const noexcept { return path_; }
    const struct stat& status() const noexcept { return status_; }

    /// open(2) of the file itself. Throws: Error.
    UniqueFd open(int flags) const;

  private:
    std::string stream_;
    std::string path_;
    UniqueFd fd_; // O_PATH
    struct stat status_{};
};

/// A fifo (or a pipe's write end, or a character device) that output goes to without blocking.
///
/// A fifo is held open at both ends: containerd may go and come back while the process writes; the
/// process then waits as soon as the fifo is full, and nothing is lost. Without the other end the
/// kernel would send SIGPIPE.
class DescriptorSink : public OutputSink {
  public:
    /// Opens a fifo or device. Does not wait for a reader.
    /// Throws: Error naming stream and path.
    DescriptorSink(const asio::any_io_executor& executor, const PathHandle& path);
    /// Owns: `write_end` of a pipe. Its reader may end it: SIGPIPE must be ignored by the program.
    DescriptorSink(const asio::any_io_executor& executor, UniqueFd write_end, std::string name);

    Awaitable<> write(std::span<const std::byte> data) override;
    Awaitable<> finish() override;

  private:
    std::size_t unread() noexcept;
    bool has_reader() noexcept;
    Awaitable<> wait_until_read();

    asio::posix::stream_descriptor write_end_;
    UniqueFd read_end_;
    bool is_fifo_ = false;
    std::string name_;
};

/// The fifo (or device) that a process's input comes from. It ends once CloseIO (`drop_write_end`)
/// has come and no client holds the fifo.
class InputFifo : public InputSource {
  public:
    /// Does not wait for a writer; holds a write end, so that a client that goes does not look like
    /// the end of input.
    /// Throws: Error naming the path; invalid_argument if it is neither fifo nor device.
    InputFifo(const asio::any_io_executor& executor, const PathHandle& path);

    Awaitable<> wait_readable() override;
    std::optional<std::size_t> read_some(std::span<std::byte> buffer) override;
    void drop_write_end() noexcept override { write_end_.reset(); }
    void close() noexcept override;

  private:
    asio::posix::stream_descriptor read_end_;
    UniqueFd write_end_;
    std::string name_;
};

} // namespace cppvm::io
