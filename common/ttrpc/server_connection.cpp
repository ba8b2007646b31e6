#include "common/ttrpc/server_connection.hpp"

#include "common/async/timeout.hpp"
#include "common/base/scope_exit.hpp"
#include "common/ttrpc/server.hpp"

#include <chrono>
#include <memory>
#include <utility>

namespace cppvm::ttrpc {

namespace {

const PeerPolicy trusted_peer;

Deadline to_deadline(std::int64_t timeout_nano) {
    if (timeout_nano == 0) {
        return no_deadline;
    }
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::nanoseconds timeout(timeout_nano);
    // A peer may send anything: the sum must not overflow.
    return timeout < no_deadline - now ? now + timeout : no_deadline;
}

std::string name_of(const CallContext& context) {
    return context.service + "/" + context.method;
}

/// Whether the failure is one that nobody foresaw, and so is worth a log line of its own.
bool is_unexpected(const std::exception_ptr& exception, Code code) {
    try {
        std::rethrow_exception(exception);
    } catch (const Error&) {
        return false;
    } catch (...) {
        return code == Code::unknown;
    }
}

} // namespace

ServerConnection::ServerConnection(Server& server, StreamSocket socket, const Logger& logger)
    : server_(server), logger_(logger), connection_(std::move(socket)),
      requests_(connection_.socket().get_executor(), logger_) {
    server_.connections_.insert(this);
}

ServerConnection::~ServerConnection() {
    server_.connections_.erase(this);
    server_.changed_.set();
}

Awaitable<> ServerConnection::run() {
    std::exception_ptr failure;
    try {
        co_await connection_.run(*this);
    } catch (...) {
        failure = std::current_exception();
    }
    connection_.close();
    logger_.debug("Connection ended", {{"reason", connection_.end_reason()}});
    // The handlers use this object: they are waited for even when this coroutine is cancelled, and
    // then nothing may be awaited before the throwing of pending aborts is off.
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await requests_.stop();
    co_await asio::this_coro::throw_if_cancelled(true);
    if (failure) {
        std::rethrow_exception(failure);
    }
}

Awaitable<> ServerConnection::on_frame(Frame frame) {
    switch (frame.header.type) {
    case FrameType::request:
        co_await on_request(std::move(frame));
        break;
    case FrameType::data:
        co_await on_data(std::move(frame));
        break;
    default: // responses have no business here; unknown types are skipped by the protocol
        break;
    }
}

Awaitable<> ServerConnection::on_request(Frame frame) {
    const std::uint32_t id = frame.header.stream;
    Response refusal;
    try {
        accept(id, std::move(frame));
        co_return;
    } catch (...) {
        refusal.status = to_status(std::current_exception());
    }
    logger_.debug("Request refused", {{"stream", id}, {"error", refusal.status.message}});
    co_await reply(id, std::move(refusal));
}

void ServerConnection::accept(std::uint32_t id, Frame frame) {
    if (!streams_.accept(id)) {
        throw Error(
            Code::invalid_argument,
            "request on stream " + std::to_string(id) +
                ": the id must be odd and larger than before"
        );
    }
    if (frame.oversized()) {
        throw Error(
            Code::resource_exhausted,
            "request of " + std::to_string(frame.header.length) +
                " bytes: larger than the limit of " + std::to_string(max_payload_bytes)
        );
    }
    auto request = decode_request(frame.payload);
    if (!request) {
        throw Error(Code::invalid_argument, "malformed request");
    }
    const ServerOptions& options = server_.options_;
    if (requests_.size() >= options.max_requests) {
        throw Error(
            Code::resource_exhausted,
            "more than " + std::to_string(options.max_requests) + " requests at once"
        );
    }
    if (request->payload.size() > options.max_request_bytes - request_bytes_) {
        throw Error(
            Code::resource_exhausted,
            "more than " + std::to_string(options.max_request_bytes) + " bytes of requests at once"
        );
    }
    Service* const service = server_.find(request->service);
    if (service == nullptr) {
        throw Error(Code::unimplemented, "service " + request->service);
    }
    CallContext context{
        .service = std::move(request->service),
        .method = std::move(request->method),
        .metadata = std::move(request->metadata),
        .deadline = to_deadline(request->timeout_nano),
        .after_reply = {},
    };
    const std::string name = name_of(context);
    if (request->timeout_nano < 0) {
        throw Error(Code::deadline_exceeded, name + ": the deadline has already passed");
    }
    RequestCharge charge(request_bytes_, request->payload.size());
    const bool client_streams = (frame.header.flags & flag_remote_open) != 0;
    if (!client_streams && !service->is_streaming(context.method)) {
        requests_.spawn(
            name,
            serve_unary(
                id, std::move(request->payload), std::move(context), *service, std::move(charge)
            )
        );
        return;
    }
    // Exists before the handler starts: data frames may come right behind the request.
    auto stream = std::make_unique<Stream>(
        connection_, streams_, trusted_peer, Stream::Side::server, name, context.deadline
    );
    stream->id_ = id;
    streams_.attach(id, *stream);
    stream->start_input(std::move(request->payload), client_streams);
    requests_.spawn(name, serve_stream(std::move(stream), std::move(context), *service));
}

Awaitable<> ServerConnection::on_data(Frame frame) {
    const std::uint32_t id = frame.header.stream;
    const auto delivery = streams_.deliver(std::move(frame));
    if (delivery != StreamTable::Delivery::delivered) {
        Response refusal;
        refusal.status = {
            Code::invalid_argument, "data on stream " + std::to_string(id) + ": it is not open"
        };
        co_await reply(id, std::move(refusal));
    }
}

Awaitable<> ServerConnection::serve_unary(
    std::uint32_t id,
    std::string payload,
    CallContext context,
    Service& service,
    RequestCharge /*charge*/
) {
    ScopeExit not_replied([&context] {
        if (context.after_reply) {
            context.after_reply();
        }
    });
    std::string frame;
    try {
        std::string result = co_await with_timeout(
            service.dispatch(context, context.method, payload), context.deadline, name_of(context)
        );
        frame = encode_response(id, {.status = {}, .payload = std::move(result)});
    } catch (...) {
        frame = encode_response(id, failed(std::current_exception(), context));
    }
    co_await connection_.room();
    not_replied.release();
    connection_.push(std::move(frame), std::move(context.after_reply));
}

Awaitable<> ServerConnection::serve_stream(
    std::unique_ptr<Stream> stream, CallContext context, Service& service
) {
    ScopeExit not_replied([&context] {
        if (context.after_reply) {
            context.after_reply();
        }
    });
    std::string frame;
    try {
        co_await with_timeout(
            service.stream(context, context.method, *stream), context.deadline, name_of(context)
        );
        frame = encode_frame(stream->id_, FrameType::data, flag_remote_closed | flag_no_data, {});
    } catch (...) {
        frame = encode_response(stream->id_, failed(std::current_exception(), context));
    }
    co_await connection_.room();
    not_replied.release();
    connection_.push(std::move(frame), std::move(context.after_reply));
}

Awaitable<> ServerConnection::reply(std::uint32_t id, Response response) {
    co_await connection_.room();
    connection_.push(encode_response(id, std::move(response)));
}

Response
ServerConnection::failed(const std::exception_ptr& exception, const CallContext& context) const {
    Response response;
    response.status = to_status(exception);
    if (is_unexpected(exception, response.status.code)) {
        logger_.error(
            "Request failed unexpectedly",
            {{"request", name_of(context)}, {"error", response.status.message}}
        );
    }
    return response;
}

} // namespace cppvm::ttrpc
