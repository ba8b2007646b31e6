#pragma once

#include "common/base/error.hpp"
#include "common/ttrpc/types.hpp"

#include <boost/system/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace cppvm::ttrpc {

/// The payload of a request frame.
struct Request {
    std::string service;
    std::string method;
    std::string payload; ///< the serialised message
    /// Time that the client still has, at the moment of sending. 0: no limit; negative: it is over.
    std::int64_t timeout_nano = 0;
    Metadata metadata;

    friend bool operator==(const Request&, const Request&) = default;
};

/// The payload of a response frame.
struct Response {
    Status status;
    std::string payload; ///< empty unless the status is ok

    friend bool operator==(const Response&, const Response&) = default;
};

/// A complete frame. Throws: Error (resource_exhausted) when it would be longer than the limit.
std::string encode_request(std::uint32_t stream, std::uint8_t flags, Request request);

/// A complete frame. With a status other than ok the payload is left out, since Go clients decode
/// it before they look at the status; the message is made valid UTF-8 and cut at 16 KiB.
/// Throws: Error (resource_exhausted) when it would be longer than the limit.
std::string encode_response(std::uint32_t stream, Response response);

/// Fails with errc::bad_message. Metadata keys come out in lower case.
boost::system::result<Request> decode_request(std::string_view bytes);

/// Fails with errc::bad_message. Unknown codes come out as Code::unknown; the message is cut at
/// 16 KiB.
boost::system::result<Response> decode_response(std::string_view bytes);

} // namespace cppvm::ttrpc
