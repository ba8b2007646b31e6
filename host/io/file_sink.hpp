#pragma once

#include "common/async/blocking.hpp"
#include "common/base/unique_fd.hpp"
#include "host/io/fifo.hpp"

#include <memory>
#include <string>

namespace cppvm::io {

/// An open log file, shared by the streams that are written to it: O_APPEND keeps their pieces
/// whole. Writes run on a thread of their own, because a disk may be slow.
class LogFile {
  public:
    /// An existing file. Throws: Error naming stream and path.
    explicit LogFile(const PathHandle& path);
    /// A file that is created (mode 0644, directories 0755) if it is not there. Throws: Error.
    explicit LogFile(const std::string& path);

    /// Writes all of it. Owns `data`, because the write goes on when the caller is cancelled.
    /// Throws: Error (resource_exhausted on a full disk).
    Awaitable<> append(std::string data);

  private:
    std::shared_ptr<const UniqueFd> fd_;
    std::string path_;
    BlockingPool pool_;
};

/// One stream into a LogFile. A file system that hangs holds up `write` and the destruction of the
/// LogFile; nothing can be done about that.
class FileSink : public OutputSink {
  public:
    explicit FileSink(std::shared_ptr<LogFile> file) : file_(std::move(file)) {}

    Awaitable<> write(std::span<const std::byte> data) override;
    Awaitable<> finish() override;

  private:
    std::shared_ptr<LogFile> file_;
};

} // namespace cppvm::io
