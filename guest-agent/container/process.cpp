#include "guest-agent/container/process.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/process_id.hpp"

#include <csignal>
#include <sys/ioctl.h>

namespace cppvm::guest {

Process::Process(const asio::any_io_executor& executor, Logger logger)
    : executor_(executor), reaped_(executor), published_(executor),
      io_(executor, std::move(logger)) {}

void Process::adopt(
    Launched child,
    Reaper& reaper,
    std::function<void()> on_reaped,
    std::function<void(UniqueFd)> on_watches
) {
    pid_ = child.pid;
    on_watches_ = std::move(on_watches);
    state_ = Preparing{std::move(child.pidfd)};
    control_ = std::make_shared<AgentControl>(executor_, std::move(child.control));
    reaper.watch(pid_, [self = shared_from_this(), on_reaped = std::move(on_reaped)](int status) {
        self->state_ = Ended{exit_status(status)};
        self->reaped_.set();
        on_reaped();
    });
}

Awaitable<std::optional<ControlMessage>> Process::receive() {
    const auto control = control_; // `close` may drop it meanwhile
    for (;;) {
        std::optional<ControlMessage> message = co_await control->receive();
        if (!message || message->kind != ControlKind::watches) {
            co_return message;
        }
        on_watches_(std::move(message->descriptor));
    }
}

Awaitable<ControlMessage> Process::expect(ControlKind kind) {
    std::optional<ControlMessage> message = co_await receive();
    if (message && message->kind == ControlKind::failed) {
        throw Error(message->code, message->text);
    }
    if (!message || message->kind != kind) {
        throw Error(Code::failed_precondition, "the process exited before exec");
    }
    co_return std::move(*message);
}

Awaitable<> Process::receive_console(Deadline deadline) {
    ControlMessage ready =
        co_await with_timeout(expect(ControlKind::ready), deadline, "set up process");
    console_ = std::move(ready.descriptor);
}

Awaitable<> Process::prepare(StdioSetup& stdio, Deadline deadline) {
    co_await receive_console(deadline);
    stdio.connect(io_, console_);
    if (auto* preparing = std::get_if<Preparing>(&state_)) {
        UniqueFd pidfd = std::move(preparing->pidfd);
        state_ = Waiting{std::move(pidfd)};
    }
}

Awaitable<> Process::start(Deadline deadline) {
    auto* waiting = std::get_if<Waiting>(&state_);
    if (waiting == nullptr) {
        throw Error(Code::failed_precondition, "the process is not waiting to be started");
    }
    UniqueFd pidfd = std::move(waiting->pidfd);
    state_ = Running{std::move(pidfd)};
    // A child that is gone shows in what is received.
    static_cast<void>(control_->send(ControlKind::go));
    co_await finish_start(deadline);
}

// Each word between agent and child is a change of processes and back; an exec has nothing to wait
// for but its terminal.
Awaitable<> Process::run(StdioSetup& stdio, bool terminal, Deadline deadline) {
    if (terminal) {
        co_await receive_console(deadline);
    }
    stdio.connect(io_, console_);
    if (auto* preparing = std::get_if<Preparing>(&state_)) {
        UniqueFd pidfd = std::move(preparing->pidfd);
        state_ = Running{std::move(pidfd)};
    }
    co_await finish_start(deadline);
}

Awaitable<> Process::finish_start(Deadline deadline) {
    const std::optional<ControlMessage> failure =
        co_await with_timeout(receive(), deadline, "execute program");
    if (failure) {
        throw Error(failure->code, failure->text);
    }
    control_.reset();
}

UniqueFd* Process::pidfd_of_state() noexcept {
    return std::visit(
        [](auto& state) -> UniqueFd* {
            if constexpr (requires { state.pidfd; }) {
                return &state.pidfd;
            } else {
                return nullptr;
            }
        },
        state_
    );
}

int Process::pidfd() const noexcept {
    const UniqueFd* pidfd = const_cast<Process*>(this)->pidfd_of_state();
    return pidfd == nullptr ? -1 : pidfd->get();
}

bool Process::send_signal(int number) {
    const int fd = pidfd();
    return fd >= 0 && signal_pidfd(fd, number);
}

Awaitable<unsigned> Process::wait_exit() {
    const auto self = shared_from_this(); // it may be forgotten meanwhile
    co_await published_.wait();
    const auto* ended = std::get_if<Ended>(&state_);
    co_return ended == nullptr ? 255 : ended->status;
}

Awaitable<> Process::kill(Deadline deadline) {
    const auto self = shared_from_this();
    if (!is_empty() && !has_ended()) {
        send_signal(SIGKILL);
        co_await with_timeout(
            reaped_.wait(), deadline, "wait for the end of process " + std::to_string(pid_)
        );
    }
}

void Process::resize_console(unsigned width, unsigned height) {
    if (!console_) {
        return;
    }
    constexpr unsigned limit = 0xffff;
    if (width > limit || height > limit) {
        throw Error(Code::invalid_argument, "resize console: size is out of range");
    }
    winsize size{};
    size.ws_col = static_cast<unsigned short>(width);
    size.ws_row = static_cast<unsigned short>(height);
    if (::ioctl(console_.get(), TIOCSWINSZ, &size) != 0) {
        throw_errno("resize", "console");
    }
}

Awaitable<> Process::wait_streams() {
    const auto self = shared_from_this();
    co_await io_.wait_ended();
}

Awaitable<> Process::close() {
    const auto self = shared_from_this();
    co_await io_.stop();
    console_.reset();
    control_.reset();
}

} // namespace cppvm::guest
