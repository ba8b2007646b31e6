// The guest's hello: whatever comes is either refused or leaves only bounded, printable text.

#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "host/vm/vsock/hello.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace {

void check_text(const std::string& text) {
    constexpr std::size_t limit = 128;
    CPPVM_ASSERT(text.size() <= limit);
    CPPVM_ASSERT(std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; }));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        const auto hello = cppvm::vm::decode_hello({reinterpret_cast<const char*>(data), size});
        check_text(hello.build_id);
        check_text(hello.kernel_release);
        for (const auto& [name, ended_at] : hello.phases_us) {
            check_text(name);
        }
    } catch (const cppvm::Error&) { // NOLINT(bugprone-empty-catch): refused
    }
    return 0;
}
