#include "host/io/file_sink.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>

namespace cppvm::io {

namespace {

UniqueFd create_log_file(const std::string& path) {
    make_directories(std::filesystem::path(path).parent_path(), 0755);
    // O_NONBLOCK: should the path be a fifo, the open must not wait for its reader.
    UniqueFd fd = open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK, 0644);
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0) {
        throw_errno("stat", path);
    }
    if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode)) {
        throw Error(Code::invalid_argument, "open log file " + path + ": not a regular file");
    }
    return fd;
}

} // namespace

LogFile::LogFile(const PathHandle& path)
    : fd_(std::make_shared<const UniqueFd>(path.open(O_WRONLY | O_APPEND))), path_(path.path()) {}

LogFile::LogFile(const std::string& path)
    : fd_(std::make_shared<const UniqueFd>(create_log_file(path))), path_(path) {}

Awaitable<> LogFile::append(std::string data) {
    auto write = [fd = fd_, path = path_, data = std::move(data)] {
        write_all(fd->get(), path, data);
    };
    co_await pool_.run(std::move(write));
}

Awaitable<> FileSink::write(std::span<const std::byte> data) {
    std::string copy(reinterpret_cast<const char*>(data.data()), data.size());
    co_await file_->append(std::move(copy));
}

Awaitable<> FileSink::finish() {
    file_.reset();
    co_return;
}

} // namespace cppvm::io
