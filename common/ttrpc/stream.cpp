#include "common/ttrpc/stream.hpp"

#include "common/async/timeout.hpp"
#include "common/ttrpc/connection.hpp"
#include "common/ttrpc/envelope.hpp"

#include <utility>

namespace cppvm::ttrpc {

namespace {

constexpr std::size_t least_message_bytes = 1024; // empty ones cost memory too

} // namespace

Stream::Stream(
    Connection& connection,
    StreamTable& table,
    const PeerPolicy& policy,
    Side side,
    std::string name,
    Deadline deadline
)
    : connection_(connection), table_(table), policy_(policy), side_(side), name_(std::move(name)),
      deadline_(deadline), changed_(connection.socket().get_executor()) {}

Stream::~Stream() {
    if (id_ != 0) {
        table_.remove(id_);
        if (side_ == Side::client) {
            close_send();
        }
    }
}

Awaitable<> Stream::send(std::string message) {
    const std::string what = "send on stream " + name_;
    if (message.size() > max_payload_bytes) {
        throw Error(
            Code::resource_exhausted,
            what + ": message of " + std::to_string(message.size()) +
                " bytes is larger than the limit of " + std::to_string(max_payload_bytes)
        );
    }
    co_await with_timeout(connection_.room(), deadline_, what);
    // Looked at after the wait: the peer may have ended the stream meanwhile.
    if (failure_) {
        throw Error(*failure_);
    }
    if (send_closed_) {
        throw Error(Code::failed_precondition, what + ": this side has ended it");
    }
    if (peer_ended_ && side_ == Side::client) {
        throw Error(Code::failed_precondition, what + ": the peer has ended it");
    }
    connection_.push(encode_frame(id_, FrameType::data, 0, message));
}

void Stream::post(const std::string& message) {
    if (!send_closed_ && !is_over()) {
        connection_.push(encode_frame(id_, FrameType::data, 0, message));
    }
}

Awaitable<> Stream::flush() {
    return connection_.flush();
}

bool Stream::is_over() const noexcept {
    return failure_ || (peer_ended_ && side_ == Side::client);
}

void Stream::close_send() {
    if (std::exchange(send_closed_, true) || is_over()) {
        return;
    }
    connection_.push(encode_frame(id_, FrameType::data, flag_remote_closed | flag_no_data, {}));
}

Awaitable<std::optional<std::string>> Stream::receive() {
    while (messages_.empty() && !peer_ended_ && !failure_) {
        changed_.clear();
        co_await with_timeout(changed_.wait(), deadline_, "receive on stream " + name_);
    }
    if (!messages_.empty()) {
        std::string message = std::move(messages_.front());
        messages_.pop_front();
        bytes_ -= message.size();
        co_return message;
    }
    if (failure_) {
        throw Error(*failure_);
    }
    co_return std::nullopt;
}

bool Stream::on_frame(Frame frame) {
    if (frame.header.length > policy_.max_reply_bytes) {
        return fail(
            Code::resource_exhausted,
            "message of " + std::to_string(frame.header.length) +
                " bytes is larger than the limit of " + std::to_string(policy_.max_reply_bytes)
        );
    }
    if (frame.header.type == FrameType::response) {
        return on_response(frame);
    }
    return on_data(std::move(frame));
}

void Stream::start_input(std::string payload, bool open) {
    // A request that opens a stream has a first message only if it has a payload; one that does not
    // is the message, however short.
    if (!open || !payload.empty()) {
        bytes_ += payload.size();
        messages_.push_back(std::move(payload));
    }
    peer_ended_ = !open;
}

bool Stream::on_response(const Frame& frame) {
    auto response = decode_response(frame.payload);
    if (!response) {
        return fail(Code::internal, "malformed response");
    }
    if (response->status.code != Code::ok) {
        const Status status = policy_.map_status(std::move(response->status));
        on_failure(Error(status.code, status.message));
        return false;
    }
    // The single answer of a method in which only the client streams.
    messages_.push_back(std::move(response->payload));
    bytes_ += messages_.back().size();
    return end();
}

bool Stream::on_data(Frame frame) {
    const std::uint8_t flags = frame.header.flags;
    if (failure_) {
        return side_ == Side::server; // until the handler has ended with that failure
    }
    if (peer_ended_) {
        return fail(Code::invalid_argument, "data after the end");
    }
    if ((flags & flag_no_data) == 0) {
        if (bytes_ + frame.payload.size() > policy_.max_unread_bytes ||
            messages_.size() >= policy_.max_unread_bytes / least_message_bytes) {
            return fail(Code::resource_exhausted, "the peer sends faster than it is read");
        }
        bytes_ += frame.payload.size();
        messages_.push_back(std::move(frame.payload));
        changed_.set();
    }
    if ((flags & flag_remote_closed) == 0) {
        return true;
    }
    end();
    // A server's end is that of the stream; a client's only that of its input.
    return side_ == Side::server;
}

bool Stream::end() {
    peer_ended_ = true;
    changed_.set();
    return false;
}

bool Stream::fail(Code code, const std::string& why) {
    on_failure(Error(code, "stream " + name_ + ": " + why));
    return side_ == Side::server;
}

void Stream::on_failure(const Error& error) {
    if (!is_over()) {
        failure_.emplace(error);
    }
    changed_.set();
}

} // namespace cppvm::ttrpc
