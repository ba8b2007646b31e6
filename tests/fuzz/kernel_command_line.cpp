// What the agent reads of /proc/cmdline, which holds words of the host's administrator, too.

#include "guest-agent/boot/kernel_command_line.hpp"

#include "common/base/assert.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cppvm;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto options = guest::parse_kernel_command_line(text);
    CPPVM_ASSERT(!options.boot_port || text.find("cppvm.boot_port=") != std::string_view::npos);
    CPPVM_ASSERT(!options.power_off || text.find("cppvm.poweroff=") != std::string_view::npos);
    return 0;
}
