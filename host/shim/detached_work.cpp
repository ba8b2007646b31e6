#include "host/shim/detached_work.hpp"

#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"

#include <algorithm>
#include <array>
#include <climits>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace cppvm::shim {

namespace {

void set_output(int fd) {
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
}

[[noreturn]] void work_and_exit(const std::function<void(const LetGo&)>& work, int output) {
    ::setsid();
    set_output(output);
    // Whoever started us may have left us more than the standard ones.
    ::close_range(STDERR_FILENO + 1, UINT_MAX, 0);
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    ::dup2(null, STDIN_FILENO);
    work([null] { set_output(null); }); // the last end of the pipe
    ::_exit(0);
}

// Until nobody holds the other end.
void pass_on(const UniqueFd& words, Deadline deadline) {
    std::array<char, 4096> buffer{};
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now()
        );
        pollfd entry{words.get(), POLLIN, 0};
        const auto timeout = std::max<std::int64_t>(left.count(), 0);
        if (::poll(&entry, 1, static_cast<int>(timeout)) <= 0) {
            return;
        }
        const ssize_t size = ::read(words.get(), buffer.data(), buffer.size());
        if (size <= 0) {
            return;
        }
        try {
            write_all(STDERR_FILENO, "stderr", {buffer.data(), static_cast<std::size_t>(size)});
        } catch (const Error&) { // NOLINT(bugprone-empty-catch): nobody wants to know
        }
    }
}

} // namespace

void run_detached(const std::function<void(const LetGo&)>& work, Deadline deadline) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        throw_errno("make a pipe for", "work in the background");
    }
    const UniqueFd words(ends[0]);
    UniqueFd output(ends[1]);
    const pid_t pid = ::fork();
    if (pid < 0) {
        throw_errno("fork for", "work in the background");
    }
    if (pid == 0) {
        work_and_exit(work, output.get());
    }
    output.reset();
    pass_on(words, deadline);
}

} // namespace cppvm::shim
