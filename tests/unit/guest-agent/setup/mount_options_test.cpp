#include "guest-agent/setup/mount_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/mount.h>

namespace cppvm::guest {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(MountOptionsTest, SortsWhatContainerdWritesForBinds) {
    const MountOptions options = parse_mount_options({"rbind", "rprivate", "ro"});
    EXPECT_TRUE(options.bind);
    EXPECT_TRUE(options.recursive_bind);
    EXPECT_EQ(options.set, static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY));
    EXPECT_EQ(options.clear, 0U);
    EXPECT_THAT(options.propagation, ElementsAre(MS_PRIVATE | MS_REC));
    EXPECT_THAT(options.data, IsEmpty());
}

TEST(MountOptionsTest, LeavesTheFileSystemsOwn) {
    const MountOptions options =
        parse_mount_options({"nosuid", "mode=755", "size=64k", "newinstance", "defaults", ""});
    EXPECT_THAT(options.data, ElementsAre("mode=755", "size=64k", "newinstance"));
    EXPECT_EQ(options.set, static_cast<std::uint64_t>(MOUNT_ATTR_NOSUID));
}

TEST(MountOptionsTest, LaterWordsWin) {
    MountOptions options = parse_mount_options({"ro", "rw"});
    EXPECT_EQ(options.set, 0U);
    EXPECT_EQ(options.clear, static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY));
    options = parse_mount_options({"exec", "noexec"});
    EXPECT_EQ(options.set, static_cast<std::uint64_t>(MOUNT_ATTR_NOEXEC));
    EXPECT_EQ(options.clear, 0U);
}

TEST(MountOptionsTest, AccessTimeModesExcludeEachOther) {
    const MountOptions options = parse_mount_options({"noatime", "strictatime"});
    EXPECT_EQ(options.set, static_cast<std::uint64_t>(MOUNT_ATTR_STRICTATIME));
    // The kernel wants the whole field cleared.
    EXPECT_EQ(options.clear, static_cast<std::uint64_t>(MOUNT_ATTR__ATIME));
}

TEST(MountOptionsTest, KnowsRecursiveForms) {
    const MountOptions options = parse_mount_options({"rro", "rnosuid"});
    EXPECT_EQ(options.set, 0U);
    EXPECT_EQ(
        options.recursive_set, static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID)
    );
    // Not "r" + "slave": propagation has words of its own.
    EXPECT_THAT(parse_mount_options({"rslave"}).propagation, ElementsAre(MS_SLAVE | MS_REC));
    // Not "r" + "elatime".
    EXPECT_EQ(parse_mount_options({"relatime"}).recursive_set, 0U);
}

TEST(MountOptionsTest, TellsWhatIsNotDone) {
    EXPECT_TRUE(parse_mount_options({"tmpcopyup"}).copy_up);
    EXPECT_THAT(parse_mount_options({"copy-symlink"}).unsupported, ElementsAre("copy-symlink"));
}

} // namespace
} // namespace cppvm::guest
