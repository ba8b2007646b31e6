#include "guest-agent/disks/find_pci_device.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/failure_of.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::guest {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

TEST(FindPciDeviceTest, FindsTheOneBelowThePort) {
    const testing::TempDir devices;
    devices.write("0000:00:12.0/0000:05:00.0/vendor", "0x8086\n");
    testing::co_test(
        find_pci_device("0000:00:12.0", deadline_in(std::chrono::seconds(5)), devices.path())
    );
}

TEST(FindPciDeviceTest, TakesNothingElseForADevice) {
    const testing::TempDir devices;
    devices.write("0000:00:12.0/0000:00:12.0:pcie004/vendor", "");
    devices.write("0000:00:12.0/power/control", "");
    devices.write("0000:00:12.1/0000:06:00.0/vendor", "0x8086\n");
    auto body = [](const testing::TempDir& place) -> Awaitable<> {
        const std::string failure = co_await testing::failure_of(
            find_pci_device("0000:00:12.0", deadline_in(milliseconds(20)), place.path())
        );
        EXPECT_THAT(failure, HasSubstr("wait for the PCI device below 0000:00:12.0"));
    };
    testing::co_test(body(devices));
}

} // namespace
} // namespace cppvm::guest
