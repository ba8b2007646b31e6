// The first bytes of a connection: what is accepted is what encodes to the same bytes.

#include "common/wire/preamble.hpp"

#include "common/base/assert.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cppvm::wire;
    std::array<std::uint8_t, preamble_size> bytes{};
    std::copy_n(data, std::min(size, bytes.size()), bytes.begin());
    if (const auto preamble = decode_preamble(bytes)) {
        auto encoded = encode(*preamble);
        constexpr std::size_t reserved = 6; // two bytes that a later version may use
        std::copy_n(bytes.begin() + reserved, 2, encoded.begin() + reserved);
        CPPVM_ASSERT(encoded == bytes);
    }
    return 0;
}
