#include "guest-agent/container/reaper.hpp"

#include <cerrno>
#include <csignal>
#include <sys/wait.h>

namespace cppvm::guest {

Reaper::Reaper(const asio::any_io_executor& executor) : signals_(executor, SIGCHLD) {}

void Reaper::watch(pid_t pid, Handler handler) {
    handlers_.insert_or_assign(pid, std::move(handler));
}

Awaitable<> Reaper::run() {
    for (;;) {
        // Reaped first: a child may have ended before the wait began.
        reap();
        co_await signals_.async_wait(asio::use_awaitable);
    }
}

void Reaper::reap() {
    for (;;) {
        int status = 0;
        // One signal may stand for any number of children (signal(7)), so all that ended are taken.
        const pid_t pid = ::waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == EINTR) {
            continue;
        }
        if (pid <= 0) {
            return;
        }
        auto node = handlers_.extract(pid);
        if (!node.empty()) {
            node.mapped()(status);
        }
    }
}

unsigned exit_status(int status) noexcept {
    return WIFEXITED(status) ? static_cast<unsigned>(WEXITSTATUS(status))
                             : 128U + static_cast<unsigned>(WTERMSIG(status));
}

} // namespace cppvm::guest
