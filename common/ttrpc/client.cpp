#include "common/ttrpc/client.hpp"

#include "common/async/timeout.hpp"
#include "common/base/assert.hpp"
#include "common/base/scope_exit.hpp"

#include <optional>
#include <utility>

namespace cppvm::ttrpc {

namespace {

std::string full_name(const std::string& service, const std::string& method) {
    return service + "/" + method;
}

/// Nanoseconds until `deadline` as ttrpc has them: 0 for none, else at least 1.
std::int64_t timeout_until(Deadline deadline, const std::string& what) {
    if (deadline == no_deadline) {
        return 0;
    }
    const auto rest = deadline - std::chrono::steady_clock::now();
    if (rest <= std::chrono::steady_clock::duration::zero()) {
        throw Error(Code::deadline_exceeded, "call " + what + ": timed out");
    }
    return std::chrono::duration_cast<std::chrono::nanoseconds>(rest).count();
}

/// A unary call that waits for its response.
class PendingCall : public Receiver {
  public:
    PendingCall(const asio::any_io_executor& executor, std::string name, const PeerPolicy& policy)
        : name_(std::move(name)), policy_(policy), done_(executor) {}

    Awaitable<std::string> result() {
        co_await done_.wait();
        if (failure_) {
            throw Error(*failure_);
        }
        co_return std::move(payload_);
    }

    bool on_frame(Frame frame) override {
        if (frame.header.length > policy_.max_reply_bytes) {
            fail(
                Code::resource_exhausted,
                "reply of " + std::to_string(frame.header.length) +
                    " bytes is larger than the limit of " + std::to_string(policy_.max_reply_bytes)
            );
            return false;
        }
        if (frame.header.type != FrameType::response) {
            fail(Code::internal, "the server answered a call with stream data");
            return false;
        }
        auto response = decode_response(frame.payload);
        if (!response) {
            fail(Code::internal, "malformed response");
        } else if (response->status.code != Code::ok) {
            Status status = policy_.map_status(std::move(response->status));
            on_failure(Error(status.code, std::move(status.message)));
        } else {
            payload_ = std::move(response->payload);
            done_.set();
        }
        return false;
    }

    void on_failure(const Error& error) override {
        failure_.emplace(error);
        done_.set();
    }

  private:
    void fail(Code code, const std::string& why) {
        on_failure(Error(code, "call " + name_ + ": " + why));
    }

    std::string name_;
    const PeerPolicy& policy_;
    std::string payload_;
    std::optional<Error> failure_;
    Event done_;
};

} // namespace

Client::Client(StreamSocket socket, Logger logger, PeerPolicy policy)
    : logger_(std::move(logger)), policy_(std::move(policy)), connection_(std::move(socket)),
      stopped_(connection_.socket().get_executor()) {
    stopped_.set();
}

Client::~Client() {
    CPPVM_ASSERT(stopped_.is_set() && streams_.size() == 0);
}

Awaitable<> Client::run() {
    stopped_.clear();
    const ScopeExit at_end([this] {
        connection_.close();
        streams_.fail_all(closed_error());
        logger_.debug("Connection ended", {{"reason", connection_.end_reason()}});
        stopped_.set();
    });
    co_await connection_.run(*this);
}

Awaitable<> Client::on_frame(Frame frame) {
    const FrameType type = frame.header.type;
    const bool delivered = (type == FrameType::response || type == FrameType::data) &&
                           streams_.deliver(std::move(frame)) == StreamTable::Delivery::delivered;
    if (!delivered) {
        count_stray();
    }
    co_return;
}

// A call that was given up still gets its reply, and a stream a few messages. Without a limit a
// server could keep this process busy for as long as it likes, and its log.
void Client::count_stray() {
    constexpr std::uint64_t always_allowed = 64;
    constexpr std::uint64_t allowed_per_call = 4;
    if (++stray_ > always_allowed + allowed_per_call * begun_) {
        throw Error(
            Code::unavailable,
            "the server sent " + std::to_string(stray_) + " frames that belong to none of the " +
                std::to_string(begun_) + " calls; closing the connection"
        );
    }
}

Awaitable<std::uint32_t>
Client::start(Receiver& receiver, std::uint8_t flags, Request request, Deadline deadline) {
    const std::string name = full_name(request.service, request.method);
    co_await with_timeout(connection_.room(), deadline, "call " + name);
    // It may have been closed before this was resumed. From here to push nothing suspends.
    if (connection_.is_closed()) {
        throw closed_error();
    }
    request.timeout_nano = timeout_until(deadline, name);
    const auto id = streams_.open(receiver);
    if (!id) {
        throw Error(
            Code::unavailable, "call " + name + ": no stream id left on this connection: reconnect"
        );
    }
    ++begun_;
    ScopeExit forget([this, id] { streams_.remove(*id); });
    connection_.push(encode_request(*id, flags, std::move(request)));
    forget.release();
    co_return *id;
}

Awaitable<std::string>
Client::call(std::string service, std::string method, std::string payload, CallOptions options) {
    const std::string name = full_name(service, method);
    PendingCall call(connection_.socket().get_executor(), name, policy_);
    Request request{
        .service = std::move(service),
        .method = std::move(method),
        .payload = std::move(payload),
        .metadata = std::move(options.metadata),
    };
    const auto id = co_await start(call, 0, std::move(request), options.deadline);
    const ScopeExit forget([this, id] { streams_.remove(id); });
    co_return co_await with_timeout(call.result(), options.deadline, "call " + name);
}

Awaitable<std::unique_ptr<Stream>>
Client::open_stream(std::string service, std::string method, CallOptions options) {
    return start_stream(
        flag_remote_open, std::move(service), std::move(method), {}, std::move(options)
    );
}

Awaitable<std::unique_ptr<Stream>> Client::open_replies(
    std::string service, std::string method, std::string payload, CallOptions options
) {
    return start_stream(
        flag_remote_closed,
        std::move(service),
        std::move(method),
        std::move(payload),
        std::move(options)
    );
}

Awaitable<std::unique_ptr<Stream>> Client::start_stream(
    std::uint8_t flags,
    std::string service,
    std::string method,
    std::string payload,
    CallOptions options
) {
    auto stream = std::make_unique<Stream>(
        connection_,
        streams_,
        policy_,
        Stream::Side::client,
        full_name(service, method),
        options.deadline
    );
    Request request{
        .service = std::move(service),
        .method = std::move(method),
        .payload = std::move(payload),
        .metadata = std::move(options.metadata),
    };
    stream->send_closed_ = (flags & flag_remote_closed) != 0;
    stream->id_ = co_await start(*stream, flags, std::move(request), options.deadline);
    co_return stream;
}

Awaitable<> Client::stop() {
    connection_.close();
    streams_.fail_all(closed_error());
    co_await stopped_.wait_uninterrupted();
}

} // namespace cppvm::ttrpc
