#include "common/ttrpc/stub.hpp"

#include "common/base/error.hpp"

#include <limits>

namespace cppvm::ttrpc::stub {

namespace {

bool parse(google::protobuf::MessageLite& message, std::string_view payload) {
    return payload.size() <= std::numeric_limits<int>::max() &&
           message.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
}

} // namespace

void parse_request(
    google::protobuf::MessageLite& message, const CallContext& context, std::string_view payload
) {
    if (!parse(message, payload)) {
        throw Error(
            Code::invalid_argument,
            context.service + "/" + context.method + ": the request is not a valid " +
                message.GetTypeName()
        );
    }
}

void parse_reply(
    google::protobuf::MessageLite& message,
    const std::string& service,
    std::string_view method,
    std::string_view payload
) {
    if (!parse(message, payload)) {
        throw Error(
            Code::internal,
            "call " + service + "/" + std::string(method) + ": the reply is not a valid " +
                message.GetTypeName()
        );
    }
}

} // namespace cppvm::ttrpc::stub
