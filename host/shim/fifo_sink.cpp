#include "host/shim/fifo_sink.hpp"

#include "common/base/unique_fd.hpp"

#include <fcntl.h>
#include <mutex>
#include <string>
#include <unistd.h>

namespace cppvm::shim {

namespace {

class FifoSink : public LogSink {
  public:
    explicit FifoSink(std::filesystem::path path) : path_(std::move(path)) {}

    void write(std::string_view line) noexcept override {
        const std::scoped_lock lock(mutex_);
        if (!fd_) {
            // Fails without a reader, and at once, because of O_NONBLOCK.
            fd_.reset(::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_APPEND | O_CLOEXEC));
        }
        if (!fd_ || !report_losses() || !put(line)) {
            ++dropped_;
        }
    }

  private:
    // True if all that was lost before is accounted for.
    bool report_losses() noexcept {
        if (torn_) {
            // The rest of a line longer than PIPE_BUF did not fit; end it, so that the next line
            // starts on its own.
            if (!put("\n")) {
                return false;
            }
            torn_ = false;
        }
        if (dropped_ == 0) {
            return true;
        }
        const std::string note =
            "level=warning msg=\"Log lines were dropped\" lines=" + std::to_string(dropped_) + "\n";
        if (!put(note)) {
            return false;
        }
        dropped_ = 0;
        return true;
    }

    bool put(std::string_view text) noexcept {
        const ssize_t count = ::write(fd_.get(), text.data(), text.size());
        if (count <= 0) {
            return false;
        }
        if (static_cast<std::size_t>(count) < text.size()) {
            torn_ = true;
            return false;
        }
        return true;
    }

    std::mutex mutex_;
    std::filesystem::path path_;
    UniqueFd fd_;
    std::uint64_t dropped_ = 0;
    bool torn_ = false;
};

} // namespace

std::shared_ptr<LogSink> make_fifo_sink(std::filesystem::path path) {
    return std::make_shared<FifoSink>(std::move(path));
}

} // namespace cppvm::shim
