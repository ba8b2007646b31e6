#include "common/oci/device_access.hpp"

#include <gtest/gtest.h>

#include <sys/sysmacros.h>
#include <vector>

namespace cppvm::oci {
namespace {

const dev_t loop_device = makedev(7, 3);

/// "rw#": may be read, may be written, is named by its number.
std::string access(const std::vector<DeviceRule>& rules) {
    const DeviceAccess found = device_access(rules, "b", loop_device);
    return std::string(found.read ? "r" : "-") + (found.write ? "w" : "-") +
           (found.by_number ? "#" : "-");
}

TEST(DeviceAccessTest, IsNoneAtFirst) {
    EXPECT_EQ(access({}), "---");
}

TEST(DeviceAccessTest, IsWhatTheRulesOfItsNumberSay) {
    EXPECT_EQ(access({{true, "b", 7, 3, "rwm"}}), "rw#");
    EXPECT_EQ(access({{true, "b", 7, 3, "r"}}), "r-#");
    EXPECT_EQ(access({{true, "b", 7, 3, "m"}}), "---");
    EXPECT_EQ(access({{true, "b", 7, 4, "rwm"}, {true, "b", 8, 3, "rwm"}}), "---");
    EXPECT_EQ(access({{true, "c", 7, 3, "rwm"}}), "---");
}

TEST(DeviceAccessTest, IsWhatWiderRulesSayWithoutItsNumber) {
    EXPECT_EQ(access({{true, "b", 7, {}, "rw"}}), "rw-");
    EXPECT_EQ(access({{true, "b", -1, -1, "r"}}), "r--");
    EXPECT_EQ(access({{true, "a", {}, {}, "rwm"}}), "rw-");
    EXPECT_EQ(access({{true, "", {}, {}, ""}}), "rw-") << "of all, the letters do not count";
}

TEST(DeviceAccessTest, IsThatOfItsType) {
    const std::vector<DeviceRule> rules{{true, "c", 7, 3, "r"}};
    EXPECT_TRUE(device_access(rules, "c", loop_device).by_number);
    EXPECT_FALSE(device_access(rules, "b", loop_device).by_number);
}

TEST(DeviceAccessTest, ChangesFromRuleToRule) {
    const DeviceRule nothing{false, "a", {}, {}, "rwm"};
    EXPECT_EQ(access({nothing, {true, "b", 7, 3, "rw"}}), "rw#");
    EXPECT_EQ(access({{true, "b", 7, 3, "rw"}, nothing}), "--#");
    EXPECT_EQ(access({{true, "b", 7, 3, "rw"}, {false, "b", 7, {}, "w"}}), "r-#");
}

} // namespace
} // namespace cppvm::oci
