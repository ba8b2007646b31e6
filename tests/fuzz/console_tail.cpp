// What is shown of a guest that ended: parts of its console and of QEMU's log, both of the guest's
// making. The first byte chooses the length.

#include "common/base/assert.hpp"
#include "host/vm/console.hpp"
#include "host/vm/libvirt/libvirt_log.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cppvm;
    if (size == 0) {
        return 0;
    }
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::string words = vm::console_tail(text, data[0]);
    CPPVM_ASSERT(words.size() <= data[0]);
    CPPVM_ASSERT(text.find(words) != std::string_view::npos);

    constexpr std::size_t limit = 600;
    const std::string messages = vm::messages_of_qemu(text);
    CPPVM_ASSERT(messages.size() <= limit);
    CPPVM_ASSERT(std::none_of(messages.begin(), messages.end(), [](unsigned char c) {
        return c < ' ';
    }));
    return 0;
}
