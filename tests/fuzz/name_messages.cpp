// What travels for a name server: what is accepted is what encodes to the same bytes. And the file
// that names the server.

#include "common/base/assert.hpp"
#include "common/wire/name_message.hpp"
#include "host/network/resolv_conf.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cppvm;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto message = wire::decode_name_message(text)) {
        CPPVM_ASSERT(wire::encode(*message) == text);
    }
    for (const auto& server : network::loopback_name_servers(text)) {
        CPPVM_ASSERT(server.is_loopback());
    }
    return 0;
}
