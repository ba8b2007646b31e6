// The answer of the libvirt helper, whose error texts hold what libvirt and QEMU said.

#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "host/vm/libvirt/libvirt_client.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cppvm;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    try {
        const vm::HelperAnswer answer = vm::parse_helper_answer(text, "ask");
        for (const auto& [key, value] : answer.values) {
            CPPVM_ASSERT(key != "error" && answer.find(key));
        }
    } catch (const Error& error) {
        CPPVM_ASSERT(error.code() != Code::ok && error.message().starts_with("ask: "));
        CPPVM_ASSERT(
            error.message().size() <= text.size() + std::string_view("ask: libvirt: ").size()
        );
    }
    return 0;
}
