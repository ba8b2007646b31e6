#include "host/vm/libvirt/libvirt_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::vm {

namespace {

using ::testing::EndsWith;
using ::testing::SizeIs;

const std::string start = "2026-01-02 03:04:05.678+0000: starting up libvirt version: 9.0.0\n"
                          "/usr/bin/qemu-system-x86_64 \\\n"
                          "-name guest=cppvm-0123456789abcdef \\\n"
                          "-msg timestamp=on\n";
const std::string libvirts = "2026-01-02 03:04:05.700+0000: Domain id=1 is tainted: custom-argv\n"
                             "char device redirected to /dev/pts/1 (label charserial0)\n";
const std::string end = "2026-01-02 03:04:09.356+0000: shutting down, reason=crashed\n";

TEST(LibvirtLogTest, TellsWhatQemuSaid) {
    const std::string said = "2026-01-02T03:04:06.000001Z qemu-system-x86_64: terminating\n"
                             "KVM: entry failed, hardware error 0x80000021\n";
    EXPECT_EQ(
        messages_of_qemu(start + libvirts + said + end),
        "2026-01-02T03:04:06.000001Z qemu-system-x86_64: terminating; "
        "KVM: entry failed, hardware error 0x80000021"
    );
}

TEST(LibvirtLogTest, IsEmptyWhereQemuSaidNothing) {
    EXPECT_EQ(messages_of_qemu(start + libvirts + end), "");
    EXPECT_EQ(messages_of_qemu(""), "");
    EXPECT_EQ(messages_of_qemu("no command line\n"), "");
}

TEST(LibvirtLogTest, TellsOfTheLastStartOnly) {
    EXPECT_EQ(
        messages_of_qemu(start + "of the first\n" + end + start + "of the last"), "of the last"
    );
}

TEST(LibvirtLogTest, StaysOneShortLine) {
    const std::string messages =
        messages_of_qemu(start + std::string(5000, 'x') + "\nwith \x1b[31m and \x7f\n");
    EXPECT_THAT(messages, SizeIs(600));
    EXPECT_THAT(messages, EndsWith("xxx; with ?[31m and ?"));
}

} // namespace

} // namespace cppvm::vm
