// Messages of a streaming server: an error, or what is bounded by the message itself.

#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "host/io/streaming/message.hpp"
#include "host/io/streaming/window.hpp"

#include <cstdint>

using namespace cppvm::io::streaming;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        const Message message = decode_message({reinterpret_cast<const char*>(data), size});
        if (const auto* const bytes = std::get_if<Data>(&message)) {
            CPPVM_ASSERT(bytes->bytes.size() <= size);
            ReceiveWindow window;
            window.take_grant();
            window.receive(bytes->bytes.size());
        } else if (const auto* const update = std::get_if<WindowUpdate>(&message)) {
            SendWindow window;
            window.grant(update->bytes);
            window.grant(update->bytes);
            CPPVM_ASSERT(window.fit(size) <= max_chunk);
        }
    } catch (const cppvm::Error& error) {
        CPPVM_ASSERT(error.message().find('\n') == std::string::npos);
    }
    return 0;
}
