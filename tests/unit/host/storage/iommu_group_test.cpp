#include "common/base/error.hpp"
#include "host/storage/iommu_group.hpp"
#include "tests/support/fake_vfio.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/sysmacros.h>

namespace cppvm::storage {
namespace {

using ::testing::ElementsAre;

class IommuGroupTest : public ::testing::Test {
  protected:
    std::string failure(unsigned group) const {
        try {
            devices_of_group(host_.tree(), group);
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::failed_precondition) << error.message();
            return error.message();
        }
        return "";
    }

    testing::FakeVfio host_;
};

TEST_F(IommuGroupTest, NamesWhatACharacterDeviceStandsFor) {
    host_.add_node(17, "243:0");
    EXPECT_EQ(vfio_name(host_.tree(), makedev(243, 0)), "17");
    EXPECT_EQ(vfio_name(host_.tree(), makedev(243, 1)), std::nullopt);
    host_.directory().write("sys/dev/char/10:229/uevent", "MAJOR=10\nDEVNAME=fuse\n");
    EXPECT_EQ(vfio_name(host_.tree(), makedev(10, 229)), std::nullopt);
}

TEST_F(IommuGroupTest, SaysWhetherThereIsAnyGroupToGive) {
    EXPECT_FALSE(has_vfio_groups(host_.tree()));
    host_.add_node(17, "243:0");
    EXPECT_TRUE(has_vfio_groups(host_.tree()));
}

TEST_F(IommuGroupTest, GivesAllDevicesOfAGroupButBridges) {
    host_.add_device(17, "0000:01:00.1");
    host_.add_device(17, "0000:01:00.0");
    host_.add_device(17, "0000:00:01.0", "pcieport", "0x060400");
    host_.add_device(17, "0000:01:00.2", "");
    host_.add_device(18, "0000:02:00.0", "e1000e");
    host_.add_node(17, "243:0");
    EXPECT_THAT(devices_of_group(host_.tree(), 17), ElementsAre("0000:01:00.0", "0000:01:00.1"));
}

TEST_F(IommuGroupTest, NamesAHostWithoutIommu) {
    EXPECT_TRUE(failure(17).starts_with("the host has no IOMMU in use; enable VT-d"))
        << failure(17);
}

TEST_F(IommuGroupTest, NamesAGroupThatIsNot) {
    host_.add_device(18, "0000:02:00.0");
    EXPECT_EQ(failure(17), "the host has no IOMMU group 17: No such file or directory");
}

// The guest would have a part of what its driver on the host still uses.
TEST_F(IommuGroupTest, NamesADeviceThatAnotherDriverHas) {
    host_.add_device(17, "0000:01:00.0");
    host_.add_device(17, "0000:01:00.1", "snd_hda_intel", "0x040300");
    host_.add_node(17, "243:0");
    EXPECT_EQ(
        failure(17),
        "IOMMU group 17: the driver snd_hda_intel has its device 0000:01:00.1; bind that to "
        "vfio-pci (driverctl set-override 0000:01:00.1 vfio-pci)"
    );
}

TEST_F(IommuGroupTest, NamesAGroupOfWhichNothingIsBound) {
    host_.add_device(17, "0000:01:00.0", "");
    EXPECT_EQ(failure(17), "no device of IOMMU group 17 is bound to vfio-pci");
}

TEST_F(IommuGroupTest, NamesDevicesThatAreNotPci) {
    host_.add_device(17, "vfio-platform.0", "vfio-platform");
    std::filesystem::remove(host_.directory() / "sys/devices/vfio-platform.0/class");
    EXPECT_EQ(
        failure(17),
        "IOMMU group 17: the driver vfio-platform has its device vfio-platform.0, and only PCI "
        "devices can be given to a machine"
    );
}

TEST_F(IommuGroupTest, SaysWhetherAGroupIsOpen) {
    EXPECT_FALSE(is_group_open(host_.tree(), 17)) << "its last device was unbound";
    host_.add_node(17, "243:0");
    EXPECT_FALSE(is_group_open(host_.tree(), 17));
    const auto node = node_of_group(host_.tree(), 17);
    std::filesystem::remove(node);
    std::filesystem::create_directory(node);
    EXPECT_THROW(is_group_open(host_.tree(), 17), Error);
}

} // namespace
} // namespace cppvm::storage
