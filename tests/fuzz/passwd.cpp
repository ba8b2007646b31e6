// What is read of an image's /etc/passwd.

#include "guest-agent/setup/passwd.hpp"

#include "common/base/assert.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const unsigned uid : {0U, 1000U, 4294967295U}) {
        const std::string home = cppvm::guest::home_of(uid, text);
        CPPVM_ASSERT(home.empty() || text.find(home) != std::string_view::npos);
        CPPVM_ASSERT(home.find_first_of(":\n") == std::string::npos);
    }
    return 0;
}
