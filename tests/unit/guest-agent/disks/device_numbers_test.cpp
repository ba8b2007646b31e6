#include "common/base/error.hpp"
#include "guest-agent/disks/device_numbers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <sys/sysmacros.h>

namespace cppvm::guest {
namespace {

using oci::DeviceRule;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Two disks of one driver and one of another; what the guest calls them is not what they are there.
const std::array<DiskNumbers, 3> disks = {{
    {makedev(7, 0), makedev(254, 16)},
    {makedev(7, 1), makedev(254, 0)},
    {makedev(8, 3), makedev(254, 32)},
}};

std::vector<DeviceRule> translate(std::vector<DeviceRule> rules) {
    oci::Linux spec;
    spec.resources.devices = std::move(rules);
    use_guest_numbers(spec, disks);
    return spec.resources.devices;
}

TEST(DeviceNumbersTest, RenumbersBlockDevicesAndLeavesOthersAlone) {
    oci::Linux spec;
    spec.devices = {
        {"/dev/a", "b", 7, 1, 0600, 1, 2},
        {"/dev/null", "c", 7, 1, 0666, 0, 0},
        {"/f", "p", 0, 0, {}, 0, 0}
    };
    use_guest_numbers(spec, disks);
    EXPECT_THAT(
        spec.devices,
        ElementsAre(
            oci::Device{"/dev/a", "b", 254, 0, 0600, 1, 2},
            oci::Device{"/dev/null", "c", 7, 1, 0666, 0, 0},
            oci::Device{"/f", "p", 0, 0, {}, 0, 0}
        )
    );
}

TEST(DeviceNumbersTest, RefusesADeviceThatIsNoDisk) {
    oci::Linux spec;
    spec.devices = {{"/dev/null", "c", 1, 3, {}, 0, 0}, {"/dev/x", "b", 254, 0, {}, 0, 0}};
    try {
        use_guest_numbers(spec, disks);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument);
        EXPECT_THAT(error.message(), ::testing::HasSubstr("linux.devices[1]"));
    }
}

TEST(DeviceNumbersTest, RenumbersRulesOfOneDevice) {
    EXPECT_THAT(
        translate({{true, "b", 7, 1, "r"}, {false, "b", 8, 3, "w"}}),
        ElementsAre(DeviceRule{true, "b", 254, 0, "r"}, DeviceRule{false, "b", 254, 32, "w"})
    );
}

// A rule for a whole driver of the host's covers just those of its devices that are here.
TEST(DeviceNumbersTest, MakesARuleForEachDiskThatOneCovers) {
    EXPECT_THAT(
        translate({{true, "b", 7, {}, "rw"}, {true, "b", -1, 3, "m"}}),
        ElementsAre(
            DeviceRule{true, "b", 254, 16, "rw"},
            DeviceRule{true, "b", 254, 0, "rw"},
            DeviceRule{true, "b", 254, 32, "m"}
        )
    );
}

// Or they would open what happens to have those numbers in the guest: another container's disk.
TEST(DeviceNumbersTest, DropsRulesForDevicesThatTheGuestHasNot) {
    EXPECT_THAT(translate({{true, "b", 254, 0, "rwm"}, {true, "b", 9, {}, "rwm"}}), IsEmpty());
}

TEST(DeviceNumbersTest, KeepsRulesForAllDevicesAndForCharacterDevices) {
    const std::vector<DeviceRule> rules = {
        {false, "a", {}, {}, "rwm"},
        {true, "", {}, {}, "rwm"},
        {true, "b", {}, {}, "m"},
        {true, "b", -1, -1, "m"},
        {true, "c", 7, 1, "rw"},
    };
    EXPECT_EQ(translate(rules), rules);
}

} // namespace
} // namespace cppvm::guest
