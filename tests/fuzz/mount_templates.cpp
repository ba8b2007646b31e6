// A mount of a snapshotter whose words name earlier ones: expanded or refused.

#include "host/storage/mount_templates.hpp"

#include "common/base/assert.hpp"
#include "common/base/error.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cppvm;
    const std::string text(reinterpret_cast<const char*>(data), size);
    const std::array<std::string, 3> places{"/one", "/two", "/three"};
    try {
        const auto expanded = storage::expand({"format/mkdir/overlay", text, "", {text}}, places);
        CPPVM_ASSERT(expanded.mount.type == "overlay");
    } catch (const Error& error) {
        CPPVM_ASSERT(!error.message().empty());
    }
    return 0;
}
