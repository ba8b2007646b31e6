// The network that the agent is told: what is accepted survives the way there and back.

#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "common/network/message.hpp"
#include "guest-agent/network/listeners.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cppvm;
    agent::v2::Network message;
    if (message.ParseFromArray(data, static_cast<int>(size))) {
        try {
            const network::State state = network::to_state(message);
            CPPVM_ASSERT(network::to_state(network::to_message(state)) == state);
        } catch (const Error&) { // NOLINT(bugprone-empty-catch): refused
        }
    }
    const std::string_view table(reinterpret_cast<const char*>(data), size);
    guest::parse_listeners(table, false);
    guest::parse_listeners(table, true);
    return 0;
}
