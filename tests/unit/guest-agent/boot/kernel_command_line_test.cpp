#include "guest-agent/boot/kernel_command_line.hpp"

#include <gtest/gtest.h>

namespace cppvm::guest {
namespace {

TEST(KernelCommandLineTest, ReadsItsKeys) {
    const BootOptions options = parse_kernel_command_line(
        "console=ttyS0 quiet cppvm.boot_port=4294967295 cppvm.poweroff=1 cppvm.log=debug\n"
    );
    EXPECT_EQ(options.boot_port, 4294967295U);
    EXPECT_TRUE(options.power_off);
    EXPECT_EQ(options.log_level, LogLevel::debug);
}

TEST(KernelCommandLineTest, HasDefaults) {
    const BootOptions options = parse_kernel_command_line("");
    EXPECT_EQ(options.boot_port, std::nullopt);
    EXPECT_FALSE(options.power_off);
    EXPECT_EQ(options.log_level, LogLevel::info);
}

TEST(KernelCommandLineTest, IgnoresValuesThatMakeNoSense) {
    const BootOptions options = parse_kernel_command_line(
        "cppvm.boot_port=12x cppvm.boot_port= cppvm.boot_port=-1 cppvm.boot_port=4294967296 "
        "cppvm.poweroff=yes cppvm.poweroff cppvm.log=loud xcppvm.boot_port=5"
    );
    EXPECT_EQ(options.boot_port, std::nullopt);
    EXPECT_FALSE(options.power_off);
    EXPECT_EQ(options.log_level, LogLevel::info);
}

} // namespace
} // namespace cppvm::guest
