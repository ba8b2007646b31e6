// The parser of the OCI runtime spec: what it takes, it writes and takes again as the same.

#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "common/oci/spec_json.hpp"

#include <cstdint>
#include <string_view>

namespace {

template <class Parser, class Writer>
void parse(Parser parser, Writer writer, std::string_view text) {
    using namespace cppvm;
    try {
        const auto parsed = parser(text);
        for (const auto& path : parsed.unsupported) {
            CPPVM_ASSERT(!path.empty());
        }
        const std::string written = writer(parsed.value);
        if (written.size() <= oci::max_spec_bytes) {
            const auto again = parser(written);
            CPPVM_ASSERT(again.value == parsed.value && again.unsupported.empty());
        }
    } catch (const Error& error) {
        CPPVM_ASSERT(error.code() == Code::invalid_argument && !error.message().empty());
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    parse(cppvm::oci::parse_spec, cppvm::oci::write_spec, text);
    parse(cppvm::oci::parse_process, cppvm::oci::write_process, text);
    return 0;
}
