// The parser of the OCI runtime spec, and what the guest derives from a spec before it makes
// anything.

#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "common/oci/parse.hpp"

#include <cstdint>
#include <string_view>

namespace {

template <class F>
void parse(F parser, std::string_view text) {
    using namespace cppvm;
    try {
        const auto parsed = parser(text);
        for (const auto& path : parsed.unused) {
            CPPVM_ASSERT(!path.empty());
        }
    } catch (const Error& error) {
        CPPVM_ASSERT(error.code() == Code::invalid_argument && !error.message().empty());
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    parse(cppvm::oci::parse_spec, text);
    parse(cppvm::oci::parse_process, text);
    return 0;
}
