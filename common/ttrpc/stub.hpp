#pragma once

#include "common/async/asio.hpp"
#include "common/ttrpc/client.hpp"
#include "common/ttrpc/replies.hpp"
#include "common/ttrpc/service.hpp"
#include "common/ttrpc/types.hpp"

#include <google/protobuf/message_lite.h>

#include <string>
#include <string_view>
#include <utility>

/// What generated stubs are made of (protoc_plugin/). Not for use by hand.
namespace cppvm::ttrpc::stub {

/// Throws: Error (invalid_argument) naming the method.
void parse_request(
    google::protobuf::MessageLite& message, const CallContext& context, std::string_view payload
);

/// Throws: Error (internal) naming the method.
void parse_reply(
    google::protobuf::MessageLite& message,
    const std::string& service,
    std::string_view method,
    std::string_view payload
);

/// One unary method of a service.
template <class Self, class Request, class Response>
Awaitable<std::string> dispatch_unary(
    Self& service,
    Awaitable<Response> (Self::*method)(CallContext&, const Request&),
    CallContext& context,
    std::string_view payload
) {
    Request request;
    parse_request(request, context, payload);
    const Response response = co_await (service.*method)(context, request);
    co_return response.SerializeAsString();
}

/// One unary call of a client. `method` is a literal.
template <class Response>
Awaitable<Response> call_unary(
    Client& client,
    std::string service,
    std::string_view method,
    std::string payload,
    CallOptions options
) {
    const std::string reply =
        co_await client.call(service, std::string(method), std::move(payload), std::move(options));
    Response response;
    parse_reply(response, service, method, reply);
    co_return response;
}

/// One method of a service that answers with a stream.
template <class Self, class Request, class Response>
Awaitable<> dispatch_replies(
    Self& service,
    Awaitable<> (Self::*method)(CallContext&, const Request&, ReplyWriter<Response>&),
    CallContext& context,
    Stream& stream
) {
    const auto payload = co_await stream.receive();
    Request request;
    parse_request(request, context, payload.value_or(std::string()));
    ReplyWriter<Response> replies(stream);
    co_await (service.*method)(context, request, replies);
}

/// The call of one.
template <class Response>
Awaitable<ReplyReader<Response>> call_replies(
    Client& client,
    std::string service,
    std::string_view method,
    std::string payload,
    CallOptions options
) {
    const std::string name = service + "/" + std::string(method);
    auto stream = co_await client.open_replies(
        std::move(service), std::string(method), std::move(payload), std::move(options)
    );
    co_return ReplyReader<Response>(std::move(stream), name);
}

} // namespace cppvm::ttrpc::stub
