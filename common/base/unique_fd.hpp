#pragma once

#include <unistd.h>
#include <utility>

namespace cppvm {

/// Owns one file descriptor and closes it. -1 means none.
/// Factories that return one set close-on-exec and throw Error on failure.
class UniqueFd {
  public:
    UniqueFd() noexcept = default;
    /// Owns: takes `fd` over.
    explicit UniqueFd(int fd) noexcept : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) {
            reset(other.release());
        }
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    void reset(int fd = -1) noexcept {
        const int old = std::exchange(fd_, fd);
        if (old >= 0) {
            ::close(old); // nothing can be done about an error; the number is free either way
        }
    }

  private:
    int fd_ = -1;
};

} // namespace cppvm
