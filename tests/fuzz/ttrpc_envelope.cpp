// Requests and responses: what decodes must survive being encoded again.

#include "common/base/assert.hpp"
#include "common/ttrpc/envelope.hpp"
#include "common/ttrpc/frame.hpp"

#include <cstddef>
#include <cstdint>

using namespace cppvm::ttrpc;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    if (const auto request = decode_request(bytes)) {
        const std::string frame = encode_request(1, 0, *request);
        CPPVM_ASSERT(decode_request(std::string_view(frame).substr(frame_header_size)) == request);
    }
    if (const auto response = decode_response(bytes)) {
        // The text is made valid once, and then stays as it is.
        const std::string frame = encode_response(1, *response);
        const auto valid = decode_response(std::string_view(frame).substr(frame_header_size));
        CPPVM_ASSERT(valid && valid->status.code == response->status.code);
        CPPVM_ASSERT(valid->payload == response->payload);
        const std::string again = encode_response(1, *valid);
        CPPVM_ASSERT(again == frame || valid->status.message.size() > 16UL * 1024 - 4);
    }
    return 0;
}
