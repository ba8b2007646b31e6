// The options of an overlay, which a snapshotter of any kind may have made: rewritten or refused.

#include "host/storage/overlay_options.hpp"

#include "common/base/assert.hpp"
#include "common/base/error.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cppvm;
    const std::string text(reinterpret_cast<const char*>(data), size);
    try {
        const auto options = storage::shorten_overlay_options(text);
        constexpr std::size_t page = 4096;
        CPPVM_ASSERT(options.directory && options.data.size() < page);
    } catch (const Error& error) {
        CPPVM_ASSERT(!error.message().empty());
    }
    return 0;
}
