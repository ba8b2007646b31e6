// The answer of the libvirt helper, whose error texts hold what libvirt and QEMU said.

#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "host/vm/libvirt/libvirt_client.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cppvm;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    try {
        const auto response = vm::parse_helper_answer(bytes, "ask");
        CPPVM_ASSERT(!response.has_error());
    } catch (const Error& error) {
        CPPVM_ASSERT(error.code() != Code::ok && error.message().starts_with("ask: "));
    }
    return 0;
}
