#include "guest-agent/setup/control_channel.hpp"

#include "common/async/adopt.hpp"
#include "common/os/file.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>

namespace cppvm::guest {

namespace {

// A packet is the kind, the code (failures), then text.
constexpr std::size_t max_packet = 2 + max_control_text;

void send_packet(int fd, std::string_view packet, int descriptor) {
    iovec part{const_cast<char*>(packet.data()), packet.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (descriptor >= 0) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    while (::sendmsg(fd, &message, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) {
            throw_errno("send to", "control channel");
        }
    }
}

/// One packet; nothing at the end. EAGAIN is an error to the caller.
std::optional<ControlMessage> receive_packet(int fd, int flags) {
    std::array<char, max_packet> buffer{};
    iovec part{buffer.data(), buffer.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t size = -1;
    do {
        size = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC | flags);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && errno != ECONNRESET) {
        throw_errno("receive from", "control channel");
    }
    if (size <= 0) {
        return std::nullopt;
    }
    ControlMessage result;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
        int descriptor = -1;
        std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
        result.descriptor = UniqueFd(descriptor);
    }
    result.kind = static_cast<ControlKind>(buffer[0]);
    if (size > 1) {
        const auto code = static_cast<unsigned char>(buffer[1]);
        const auto last = static_cast<unsigned char>(Code::unauthenticated);
        result.code = code == 0 || code > last ? Code::unknown : static_cast<Code>(code);
        result.text.assign(buffer.data() + 2, static_cast<std::size_t>(size) - 2);
    }
    return result;
}

bool is_readable(int fd) {
    pollfd entry{fd, POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1;
}

} // namespace

std::pair<UniqueFd, UniqueFd> make_control_sockets() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        throw_errno("create", "control channel");
    }
    std::pair<UniqueFd, UniqueFd> result{UniqueFd(ends[0]), UniqueFd(ends[1])};
    set_nonblocking(result.first.get(), true);
    return result;
}

void ChildControl::expect(ControlKind kind) {
    const auto message = receive_packet(fd_, 0);
    if (!message || message->kind != kind) {
        throw Error(Code::cancelled, "wait for agent: the agent gave up");
    }
}

void ChildControl::send(const ControlMessage& message) {
    std::string packet{static_cast<char>(message.kind), static_cast<char>(message.code)};
    packet.append(message.text, 0, max_control_text);
    send_packet(fd_, packet, message.descriptor.get());
}

std::optional<ControlMessage> ChildControl::receive() {
    return receive_packet(fd_, 0);
}

void ChildControl::send_ready(int terminal_master) {
    const char byte = static_cast<char>(ControlKind::ready);
    send_packet(fd_, {&byte, 1}, terminal_master);
}

void ChildControl::send_failure(const Status& status) noexcept {
    try {
        send({ControlKind::failed, status.code, status.message, UniqueFd()});
    } catch (...) {
        return; // the agent is gone, or sees the channel end without a word, and reports that
    }
}

AgentControl::AgentControl(const asio::any_io_executor& executor, UniqueFd fd)
    : socket_(to_descriptor(executor, std::move(fd))) {}

Awaitable<std::optional<ControlMessage>> AgentControl::receive() {
    // The reactor may report what an earlier receive has taken already.
    while (!is_readable(socket_.native_handle())) {
        co_await socket_.async_wait(asio::posix::descriptor_base::wait_read, asio::use_awaitable);
    }
    co_return receive_packet(socket_.native_handle(), MSG_DONTWAIT);
}

bool AgentControl::send(ControlKind kind) {
    const char byte = static_cast<char>(kind);
    try {
        send_packet(socket_.native_handle(), {&byte, 1}, -1);
        return true;
    } catch (const Error& error) {
        if (error.cause().value() == EPIPE || error.cause().value() == ECONNRESET) {
            return false;
        }
        throw;
    }
}

} // namespace cppvm::guest
