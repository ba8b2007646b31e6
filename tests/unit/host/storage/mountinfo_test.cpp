#include "host/storage/mountinfo.hpp"

#include <gtest/gtest.h>

namespace cppvm::storage {
namespace {

TEST(MountinfoTest, ReadsTheFieldsAndDecodesEscapes) {
    const auto mounts = parse_mountinfo(
        "24 1 0:22 / /sys rw,nosuid - sysfs sysfs rw\n"
        "36 35 98:0 /a\\040b /mnt/with\\040space\\134and\\011tab ro,noatime shared:1 master:2 - "
        "overlay none\\040x rw,lowerdir=/x\n"
    );
    ASSERT_TRUE(mounts);
    ASSERT_EQ(mounts->size(), 2u);
    EXPECT_EQ((*mounts)[0].path, "/sys");
    EXPECT_TRUE((*mounts)[0].tags.empty());
    const MountPoint& second = (*mounts)[1];
    EXPECT_EQ(second.path, "/mnt/with space\\and\ttab");
    EXPECT_EQ(second.type, "overlay");
    EXPECT_EQ(second.source, "none x");
    EXPECT_EQ(second.options, "ro,noatime");
    EXPECT_EQ(second.tags, (std::vector<std::string>{"shared:1", "master:2"}));
}

TEST(MountinfoTest, TakesAnEmptySourceAndNoFinalNewline) {
    const auto mounts = parse_mountinfo("36 35 98:0 / /x rw -  tmpfs  rw");
    EXPECT_FALSE(mounts && mounts->front().type == "tmpfs"); // two spaces: an empty type
    const auto empty_source = parse_mountinfo("36 35 98:0 / /x rw - tmpfs  rw");
    ASSERT_TRUE(empty_source);
    EXPECT_EQ(empty_source->front().source, "");
}

TEST(MountinfoTest, RefusesLinesOfAnotherForm) {
    for (const char* text :
         {"\n",
          "x",
          "24 1 0:22 / /sys rw",
          "24 1 0:22 / /sys rw -",
          "24 1 0:22 / /sys rw - sysfs",
          "24 1 0:22 / sys rw - sysfs sysfs rw",
          "- - - - - - - -"}) {
        EXPECT_FALSE(parse_mountinfo(text)) << text;
    }
    EXPECT_TRUE(parse_mountinfo(""));
}

TEST(MountinfoTest, LeavesHalfEscapesAlone) {
    const auto mounts =
        parse_mountinfo("1 1 0:1 / /a\\04 rw - t s r\n1 1 0:1 / /a\\9999 rw - t s r");
    ASSERT_TRUE(mounts);
    EXPECT_EQ((*mounts)[0].path, "/a\\04");
    EXPECT_EQ((*mounts)[1].path, "/a\\9999");
}

TEST(MountinfoTest, ReadsThisProcess) {
    EXPECT_FALSE(read_mountinfo().empty());
}

TEST(MountsBelowTest, GivesTheDeepestFirstAndStaysBelow) {
    std::vector<MountPoint> mounts;
    for (const char* path : {"/", "/a", "/a/b", "/a/b/c", "/a/b", "/ab", "/a/bc"}) {
        mounts.push_back({path, "tmpfs", "", "", {}});
    }
    const auto below = mounts_below(mounts, "/a/b");
    ASSERT_EQ(below.size(), 3u); // the stacked one twice
    EXPECT_EQ(below[0].path, "/a/b/c");
    EXPECT_EQ(below[1].path, "/a/b");
    EXPECT_EQ(below[2].path, "/a/b");
    EXPECT_EQ(mounts_below(mounts, "/").size(), mounts.size());
    EXPECT_TRUE(mounts_below(mounts, "/c").empty());
}

} // namespace
} // namespace cppvm::storage
