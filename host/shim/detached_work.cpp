#include "host/shim/detached_work.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"
#include "common/os/poll.hpp"

#include <array>
#include <climits>
#include <fcntl.h>
#include <unistd.h>

namespace cppvm::shim {

namespace {

void set_output(int fd) {
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
}

[[noreturn]] void work_and_exit(const std::function<void(const ReleaseParent&)>& work, int output) {
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
void forward_output(const UniqueFd& words, Deadline deadline) {
    std::array<char, 4096> buffer{};
    for (;;) {
        if (!wait_readable(words.get(), "what the background says", deadline)) {
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

void run_detached(const std::function<void(const ReleaseParent&)>& work, Deadline deadline) {
    Pipe words = make_pipe("work in the background");
    const pid_t pid = ::fork();
    if (pid < 0) {
        throw_errno("fork for", "work in the background");
    }
    if (pid == 0) {
        work_and_exit(work, words.write.get());
    }
    words.write.reset();
    forward_output(words.read, deadline);
}

} // namespace cppvm::shim
