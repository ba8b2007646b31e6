#include "host/storage/mount_options.hpp"

#include <gtest/gtest.h>

#include <string>
#include <sys/mount.h>
#include <vector>

namespace cppvm::storage {
namespace {

MountOptions parse(const std::vector<std::string>& options) {
    return parse_mount_options(options);
}

TEST(MountOptionsTest, SplitsFlagsFromData) {
    const auto options =
        parse({"ro", "nosuid", "nodev", "noexec", "sync", "lowerdir=/a:/b", "index=off", "volatile"}
        );
    EXPECT_EQ(
        options.flags,
        static_cast<unsigned long>(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SYNCHRONOUS)
    );
    EXPECT_EQ(options.data, "lowerdir=/a:/b,index=off,volatile");
    EXPECT_FALSE(options.bind || options.loop);
}

TEST(MountOptionsTest, LetsTheLaterOneWin) {
    const auto options = parse({"ro", "noexec", "rw", "exec", "nosuid"});
    EXPECT_EQ(options.flags, static_cast<unsigned long>(MS_NOSUID));
    EXPECT_EQ(options.set, static_cast<std::uint64_t>(MOUNT_ATTR_NOSUID));
    EXPECT_EQ(options.clear, static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC));
}

TEST(MountOptionsTest, TreatsAccessTimesAsOneField) {
    const auto options = parse({"relatime", "noatime"});
    EXPECT_EQ(options.flags, static_cast<unsigned long>(MS_NOATIME));
    EXPECT_EQ(options.set, static_cast<std::uint64_t>(MOUNT_ATTR_NOATIME));
    EXPECT_EQ(options.clear, static_cast<std::uint64_t>(MOUNT_ATTR__ATIME));
}

TEST(MountOptionsTest, KnowsBindsAndTheirRecursiveForms) {
    EXPECT_TRUE(parse({"bind"}).bind);
    EXPECT_FALSE(parse({"bind"}).recursive_bind);
    const auto options = parse({"rbind", "rro", "rnoatime"});
    EXPECT_TRUE(options.bind && options.recursive_bind);
    EXPECT_EQ(
        options.recursive_set, static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME)
    );
    EXPECT_EQ(options.recursive_clear, static_cast<std::uint64_t>(MOUNT_ATTR__ATIME));
    EXPECT_EQ(options.set, 0u);
}

TEST(MountOptionsTest, KnowsPropagationLoopAndWhatIsForUserSpace) {
    EXPECT_EQ(parse({"rslave"}).propagation, static_cast<unsigned long>(MS_SLAVE | MS_REC));
    EXPECT_EQ(parse({"shared"}).propagation, static_cast<unsigned long>(MS_SHARED));
    EXPECT_TRUE(parse({"loop"}).loop);
    EXPECT_EQ(parse({"defaults", "x-systemd.automount", "X-mount.mkdir", ""}).data, "");
}

TEST(MountOptionsTest, DoesNotTakeOrdinaryWordsForRecursiveOnes) {
    EXPECT_EQ(parse({"relatime"}).recursive_set, 0u);
    EXPECT_EQ(parse({"remount", "redirect_dir=on", "rsync"}).data, "remount,redirect_dir=on,rsync");
}

} // namespace
} // namespace cppvm::storage
