#include "host/shim/ending_signals.hpp"

#include "common/base/error.hpp"

#include <cerrno>
#include <csignal>
#include <sys/signalfd.h>
#include <unistd.h>

namespace cppvm::shim {

UniqueFd catch_ending_signals() {
    sigset_t ending;
    ::sigemptyset(&ending);
    ::sigaddset(&ending, SIGTERM);
    ::sigaddset(&ending, SIGINT);
    if (::sigprocmask(SIG_BLOCK, &ending, nullptr) != 0) {
        throw_errno("block", "SIGTERM and SIGINT");
    }
    UniqueFd descriptor(::signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!descriptor) {
        throw_errno("signalfd for", "SIGTERM and SIGINT");
    }
    return descriptor;
}

Awaitable<int> wait_ending_signal(asio::posix::stream_descriptor& descriptor) {
    for (;;) {
        signalfd_siginfo info{};
        if (::read(descriptor.native_handle(), &info, sizeof info) == sizeof info) {
            co_return static_cast<int>(info.ssi_signo);
        }
        if (errno != EAGAIN && errno != EINTR) {
            throw_errno("read", "the descriptor of SIGTERM and SIGINT");
        }
        co_await descriptor.async_wait(
            asio::posix::stream_descriptor::wait_read, asio::use_awaitable
        );
    }
}

} // namespace cppvm::shim
