#include "host/shim/launch.hpp"

#include "common/base/error.hpp"
#include "common/os/poll.hpp"

#include <array>
#include <cerrno>
#include <filesystem>
#include <sys/socket.h>
#include <unistd.h>

namespace cppvm::shim {

namespace {

// Each message is one packet: the word "ready", "go", or an error's text after "error: ".
constexpr std::string_view ready_word = "ready";
constexpr std::string_view go_word = "go";
constexpr std::string_view error_prefix = "error: ";
constexpr std::size_t max_message_bytes = 4096;

constexpr std::chrono::milliseconds end_timeout(2000);

void send_message(int fd, std::string_view message) {
    for (;;) {
        if (::send(fd, message.data(), message.size(), MSG_NOSIGNAL) >= 0) {
            return;
        }
        if (errno != EINTR) {
            throw_errno("send on", "the channel between start and daemon");
        }
    }
}

// The next message; empty if the other end is closed.
// Throws: Error (deadline_exceeded).
std::string receive_message(int fd, std::chrono::milliseconds timeout) {
    const auto deadline = deadline_in(timeout);
    for (;;) {
        if (!wait_readable(fd, "the channel between start and daemon", deadline)) {
            throw Error(Code::deadline_exceeded, "no message in time");
        }
        std::array<char, max_message_bytes> buffer{};
        const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), 0);
        if (count >= 0) {
            return {buffer.data(), static_cast<std::size_t>(count)};
        }
        if (errno == ECONNRESET) { // the other end closed with our message unread
            return {};
        }
        if (errno != EINTR) {
            throw_errno("receive from", "the channel between start and daemon");
        }
    }
}

// This program by name, so that it is found by name in a list of processes; by /proc if its file
// was replaced or removed since it started.
std::string this_program() {
    const std::string link = "/proc/self/exe";
    std::error_code error;
    const std::filesystem::path path = std::filesystem::read_symlink(link, error);
    return !error && std::filesystem::equivalent(link, path, error) ? path.native() : link;
}

} // namespace

PendingDaemon::PendingDaemon(const CommandLine& line, const std::string& address, int listener) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        throw_errno("socketpair for", "the daemon");
    }
    channel_.reset(ends[0]);
    const UniqueFd theirs(ends[1]);
    ChildSpec spec;
    spec.arguments = {
        this_program(),
        "-namespace",
        line.containerd_namespace,
        "-id",
        line.id,
        "-address",
        line.address,
        "-publish-binary",
        line.publish_binary,
        "-bundle",
        line.bundle.native(),
        "-socket",
        address,
    };
    if (line.debug) {
        spec.arguments.emplace_back("-debug");
    }
    spec.descriptors = {{listener, listener_fd}, {theirs.get(), channel_fd}};
    spec.die_with_parent = false;
    spec.new_session = true;
    child_.emplace(loop_.get_executor(), spec);
}

PendingDaemon::~PendingDaemon() {
    if (!child_) {
        return;
    }
    channel_.reset(); // tells it to undo its part and end
    try {
        // The pidfd of ChildProcess is not ours to poll.
        const UniqueFd pidfd = open_pidfd(child_->id());
        if (pidfd) {
            wait_pidfd(pidfd.get(), static_cast<int>(end_timeout.count()));
        }
    } catch (const std::exception&) {
        return; // child_'s destructor kills it
    }
}

void PendingDaemon::wait_ready(std::chrono::milliseconds timeout) {
    std::string message;
    try {
        message = receive_message(channel_.get(), timeout);
    } catch (const Error&) {
        rethrow_with_context("wait for the daemon");
    }
    if (message == ready_word) {
        return;
    }
    if (message.starts_with(error_prefix)) {
        throw Error(Code::failed_precondition, message.substr(error_prefix.size()));
    }
    throw Error(
        Code::unavailable, "wait for the daemon: it exited without a message; see the kernel log"
    );
}

void PendingDaemon::commit() {
    send_message(channel_.get(), go_word);
    child_->detach();
    child_.reset();
}

bool StartChannel::ready_and_wait(std::chrono::milliseconds timeout) {
    send_message(channel_.get(), ready_word);
    return receive_message(channel_.get(), timeout) == go_word;
}

void StartChannel::failed(std::string_view message) noexcept {
    try {
        std::string text(error_prefix);
        text.append(message.substr(0, max_message_bytes - error_prefix.size()));
        send_message(channel_.get(), text);
    } catch (const std::exception&) {
        return; // start is gone, or will find the channel closed
    }
}

} // namespace cppvm::shim
