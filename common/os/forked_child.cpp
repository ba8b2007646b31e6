#include "common/os/forked_child.hpp"

#include "common/async/adopt.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/process_id.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm {

namespace {

// The first byte of a message tells what the rest is.
constexpr char step_kind = 'S';
constexpr char message_kind = 'M';
constexpr char done_kind = 'D';
constexpr char failure_kind = 'F'; // code and errno as two ints, then the text

/// Below the least size of a socket's buffer that Linux has as its default.
constexpr std::size_t max_message_bytes = std::size_t{160} * 1024;

void send_packet(int socket, std::string_view text) {
    if (text.size() > max_message_bytes) {
        throw Error(Code::internal, "send to another process: the message is too long");
    }
    ssize_t sent = 0;
    do {
        sent = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        throw_errno("send to", "another process");
    }
}

void send_packet(int socket, char kind, std::string_view text) {
    send_packet(socket, std::string(1, kind).append(text));
}

/// Empty at the end of the conversation. Nothing: with MSG_DONTWAIT, nothing is there.
std::optional<std::string> receive_packet(int socket, int flags) {
    std::string packet(max_message_bytes, '\0');
    ssize_t size = 0;
    do {
        size = ::recv(socket, packet.data(), packet.size(), flags);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && errno == EAGAIN) {
        return std::nullopt;
    }
    if (size < 0 && errno != ECONNRESET) {
        throw_errno("receive from", "another process");
    }
    packet.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return packet;
}

std::string encode_failure(const std::exception_ptr& failure) noexcept {
    const Status status = to_status(failure);
    std::array<int, 2> numbers{static_cast<int>(status.code), 0};
    try {
        std::rethrow_exception(failure);
    } catch (const Error& error) {
        numbers[1] = error.cause().value();
    } catch (...) { // NOLINT(bugprone-empty-catch): it has no errno
    }
    return to_message<int>(numbers) + status.message.substr(0, max_message_bytes / 2);
}

[[noreturn]] void throw_failure(std::string_view text) {
    std::array<int, 2> numbers{};
    std::memcpy(numbers.data(), text.data(), std::min(text.size(), sizeof numbers));
    text.remove_prefix(std::min(text.size(), sizeof numbers));
    throw Error(
        failure_code(numbers[0]),
        std::string(text),
        std::error_code(numbers[1], std::generic_category())
    );
}

void reset_signals() {
    for (int number = 1; number < NSIG; ++number) {
        ::signal(number, SIG_DFL);
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void close_all_but(std::vector<int> kept) {
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int standard = 0; standard <= 2; ++standard) {
        ::dup2(null, standard);
    }
    std::ranges::sort(kept);
    unsigned first = 3;
    for (const int fd : kept) {
        const auto number = static_cast<unsigned>(fd);
        if (number > first) {
            ::syscall(SYS_close_range, first, number - 1, 0U);
        }
        first = std::max(first, number + 1);
    }
    ::syscall(SYS_close_range, first, ~0U, 0U);
}

[[noreturn]] void
run_child(int socket, pid_t parent, std::vector<int> descriptors, const ForkedChild::Work& work) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) {
        ::_exit(1);
    }
    reset_signals();
    descriptors.push_back(socket);
    close_all_but(std::move(descriptors));
    try {
        ParentLink link(socket);
        try {
            work(link);
            send_packet(socket, done_kind, {});
        } catch (...) {
            send_packet(socket, failure_kind, encode_failure(std::current_exception()));
        }
    } catch (...) { // NOLINT(bugprone-empty-catch): nobody is left to be told
    }
    ::_exit(0); // no destructor of the parent's copy runs
}

} // namespace

void ParentLink::begin(std::string_view step) {
    send_packet(fd_, step_kind, step);
}

void ParentLink::send(std::string_view message) {
    send_packet(fd_, message_kind, message);
}

std::string ParentLink::receive() {
    const auto packet = receive_packet(fd_, 0);
    if (!packet || packet->empty()) {
        throw Error(Code::cancelled, "wait for the parent process: it has gone");
    }
    return packet->substr(1);
}

ForkedChild::ForkedChild(
    const asio::any_io_executor& executor,
    std::string name,
    const std::vector<int>& descriptors,
    const Work& work
)
    : name_(std::move(name)), socket_(executor), pidfd_(executor) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        throw_errno("make a socket pair to", name_);
    }
    UniqueFd ours(ends[0]);
    const UniqueFd theirs(ends[1]);
    adopt(socket_, std::move(ours));
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) {
        throw_errno("fork to", name_);
    }
    if (pid_ == 0) {
        run_child(theirs.get(), parent, descriptors, work);
    }
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!pidfd) {
        const int error = errno;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0); // it has done nothing yet that could hold it up
        throw_errno("pidfd_open to", name_, error);
    }
    adopt(pidfd_, std::move(pidfd));
}

ForkedChild::~ForkedChild() {
    if (pid_ <= 0) {
        return;
    }
    kill();
    constexpr int moment_ms = 20; // as good as always enough
    try {
        if (wait_pidfd(pidfd_.native_handle(), moment_ms)) {
            ::waitpid(pid_, nullptr, 0);
            return;
        }
        // When the loop ends before the child does, init reaps it.
        const auto pidfd = std::make_shared<asio::posix::stream_descriptor>(std::move(pidfd_));
        pidfd->async_wait(
            asio::posix::stream_descriptor::wait_read,
            [pidfd, pid = pid_](const boost::system::error_code&) {
                ::waitpid(pid, nullptr, WNOHANG);
            }
        );
    } catch (...) { // NOLINT(bugprone-empty-catch): then it stays a zombie until our end
    }
}

UniqueFd ForkedChild::open_namespace(const char* kind) const {
    return open_file("/proc/" + std::to_string(pid_) + "/ns/" + kind, O_RDONLY);
}

void ForkedChild::kill() noexcept {
    if (pid_ > 0) {
        // Not by its number: somebody else may reap it (the guest's PID 1 does).
        ::syscall(SYS_pidfd_send_signal, pidfd_.native_handle(), SIGKILL, nullptr, 0);
    }
}

Awaitable<> ForkedChild::wait_readable() {
    co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
}

Awaitable<> ForkedChild::wait_end() {
    co_await pidfd_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
}

Awaitable<ForkedChild::Message> ForkedChild::next(Deadline deadline) {
    for (;;) {
        const std::string what = step_.empty() ? name_ : name_ + ": " + step_;
        co_await with_timeout(wait_readable(), deadline, what);
        auto received = receive_packet(socket_.native_handle(), MSG_DONTWAIT);
        if (!received) {
            continue; // a wait may end before anything is there
        }
        std::string packet = std::move(*received);
        if (packet.empty()) {
            throw Error(Code::unavailable, what + ": the process that was to do it was killed");
        }
        const char kind = packet[0];
        packet.erase(0, 1);
        if (kind == failure_kind) {
            try {
                throw_failure(packet);
            } catch (...) {
                rethrow_with_context(name_);
            }
        }
        if (kind != step_kind) {
            co_return Message{kind, std::move(packet)};
        }
        step_ = std::move(packet);
    }
}

Awaitable<std::string> ForkedChild::receive(Deadline deadline) {
    Message message = co_await next(deadline);
    if (message.kind != message_kind) {
        throw Error(Code::internal, name_ + ": the process ended before it had answered");
    }
    co_return std::move(message.text);
}

void ForkedChild::send(std::string_view message) {
    try {
        send_packet(socket_.native_handle(), message_kind, message);
    } catch (...) {
        rethrow_with_context(name_);
    }
}

Awaitable<> ForkedChild::finish(Deadline deadline) {
    const Message message = co_await next(deadline);
    if (message.kind != done_kind) {
        throw Error(Code::internal, name_ + ": the process sent what nobody waits for");
    }
    co_await with_timeout(wait_end(), deadline, name_);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

} // namespace cppvm
