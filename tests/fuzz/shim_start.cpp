// What `start` reads: its standard input, config.json, and the configuration in the runtime
// options. Whatever they hold, the only way to fail is an Error.

#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "host/config/config.hpp"
#include "host/pod/pod_spec.hpp"
#include "host/shim/bootstrap.hpp"

#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace {

void parse(std::string_view bytes) {
    using namespace cppvm;
    const char kind = bytes[0];
    bytes.remove_prefix(1);
    switch (kind) {
    case 'j': {
        const auto pod = pod::parse_pod_spec(bytes, "config.json", "id");
        CPPVM_ASSERT(!pod.sandbox_id.empty() && pod.sandbox_id.find('/') == std::string::npos);
        return;
    }
    case 't': {
        const auto config = config::parse(bytes, "config.toml");
        const std::string text = config::to_toml(config);
        try { // as the daemon reads what `start` wrote
            CPPVM_ASSERT(config::to_toml(config::parse(text, "copy")) == text);
        } catch (const Error&) {
            assertion_failed("what was written can be read", __FILE__, __LINE__);
        }
        return;
    }
    default: {
        const auto input = shim::parse_bootstrap_input(bytes, "a", "ns");
        CPPVM_ASSERT(input.config_path.empty() || input.config_path.is_absolute());
        return;
    }
    }
}

} // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
    google::protobuf::SetLogHandler(nullptr); // as the shim does
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    try {
        parse({reinterpret_cast<const char*>(data), size});
    } catch (const cppvm::Error&) {
        return 0; // refused, in words
    }
    return 0;
}
