#include "common/ttrpc/envelope.hpp"

#include "common/ttrpc/frame.hpp"
#include "proto/ttrpc.pb.h"

#include <algorithm>
#include <array>
#include <utility>

namespace cppvm::ttrpc {

namespace {

constexpr std::size_t max_message_bytes = 16UL * 1024;

/// Length of the well-formed UTF-8 sequence at the front of `text`; 0 if there is none
/// (The Unicode Standard, table 3-7).
std::size_t utf8_sequence(std::string_view text) noexcept {
    const auto byte = [text](std::size_t index) { return static_cast<unsigned char>(text[index]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) {
        return 1;
    }
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < length) {
        return 0;
    }
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    switch (lead) {
    case 0xe0:
        low = 0xa0; // shorter form exists
        break;
    case 0xed:
        high = 0x9f; // surrogates
        break;
    case 0xf0:
        low = 0x90; // shorter form exists
        break;
    case 0xf4:
        high = 0x8f; // beyond U+10FFFF
        break;
    default:
        break;
    }
    if (byte(1) < low || byte(1) > high) {
        return 0;
    }
    for (std::size_t index = 2; index < length; ++index) {
        if (byte(index) < 0x80 || byte(index) > 0xbf) {
            return 0;
        }
    }
    return length;
}

/// Messages quote bytes of files and guests; Go refuses a whole response for one bad string.
std::string to_valid_utf8(std::string_view text) {
    std::string out;
    while (!text.empty() && out.size() < max_message_bytes) {
        const std::size_t length = utf8_sequence(text);
        if (length == 0) {
            out.append("\xef\xbf\xbd"); // U+FFFD
            text.remove_prefix(1);
        } else {
            out.append(text.substr(0, length));
            text.remove_prefix(length);
        }
    }
    return out;
}

std::string to_frame(
    std::uint32_t stream,
    FrameType type,
    std::uint8_t flags,
    const google::protobuf::MessageLite& message,
    std::string_view what
) {
    const std::size_t length = message.ByteSizeLong();
    if (length > max_payload_bytes) {
        throw Error(
            Code::resource_exhausted,
            std::string(what) + " of " + std::to_string(length) +
                " bytes: larger than the limit of " + std::to_string(max_payload_bytes)
        );
    }
    const auto header = encode_header({
        .length = static_cast<std::uint32_t>(length),
        .stream = stream,
        .type = type,
        .flags = flags,
    });
    std::string frame;
    frame.reserve(header.size() + length);
    frame.append(header.data(), header.size());
    message.AppendToString(&frame);
    return frame;
}

bool parse(google::protobuf::MessageLite& message, std::string_view bytes) {
    return bytes.size() <= max_payload_bytes &&
           message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

} // namespace

std::string encode_request(std::uint32_t stream, std::uint8_t flags, Request request) {
    wire::Request message;
    const std::string what = "request " + request.service + "/" + request.method;
    message.set_service(std::move(request.service));
    message.set_method(std::move(request.method));
    message.set_payload(std::move(request.payload));
    message.set_timeout_nano(request.timeout_nano);
    for (auto& [key, value] : request.metadata) {
        auto* pair = message.add_metadata();
        pair->set_key(std::move(key));
        pair->set_value(std::move(value));
    }
    return to_frame(stream, FrameType::request, flags, message, what);
}

std::string encode_response(std::uint32_t stream, Response response) {
    wire::Response message;
    if (response.status.code != Code::ok) {
        message.mutable_status()->set_code(static_cast<int>(response.status.code));
        message.mutable_status()->set_message(to_valid_utf8(response.status.message));
    } else {
        message.set_payload(std::move(response.payload));
    }
    return to_frame(stream, FrameType::response, 0, message, "reply");
}

boost::system::result<Request> decode_request(std::string_view bytes) {
    wire::Request message;
    if (!parse(message, bytes)) {
        return boost::system::errc::make_error_code(boost::system::errc::bad_message);
    }
    Request request;
    request.service = std::move(*message.mutable_service());
    request.method = std::move(*message.mutable_method());
    request.payload = std::move(*message.mutable_payload());
    request.timeout_nano = message.timeout_nano();
    request.metadata.reserve(static_cast<std::size_t>(message.metadata_size()));
    for (auto& pair : *message.mutable_metadata()) {
        std::string key = std::move(*pair.mutable_key());
        std::transform(key.begin(), key.end(), key.begin(), [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        });
        request.metadata.emplace_back(std::move(key), std::move(*pair.mutable_value()));
    }
    return request;
}

boost::system::result<Response> decode_response(std::string_view bytes) {
    wire::Response message;
    if (!parse(message, bytes)) {
        return boost::system::errc::make_error_code(boost::system::errc::bad_message);
    }
    Response response;
    const int code = message.status().code();
    if (code == 0) {
        response.payload = std::move(*message.mutable_payload());
        return response;
    }
    response.status.code = failure_code(code);
    response.status.message = message.status().message().substr(0, max_message_bytes);
    return response;
}

} // namespace cppvm::ttrpc
