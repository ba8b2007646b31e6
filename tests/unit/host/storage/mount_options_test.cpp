#include "common/base/error.hpp"
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

TEST(MountOptionsTest, ReadsTheMappingsOfContainerd) {
    const std::vector<std::string> options{
        "uidmap=0:100000:5,5:200000:10", "gidmap=0:1:2", "index=off"
    };
    const MountOptions parsed = parse_mount_options(options);
    EXPECT_EQ(parsed.data, "index=off");
    const oci::IdMap expected{{{0, 100000, 5}, {5, 200000, 10}}, {{0, 1, 2}}};
    EXPECT_EQ(parsed.id_map, expected);
}

TEST(MountOptionsTest, RefusesMappingsThatMakeNoSense) {
    const auto failure = [](std::vector<std::string> options) -> std::string {
        try {
            parse_mount_options(options);
        } catch (const Error& error) {
            return error.message();
        }
        return "was taken";
    };
    EXPECT_EQ(
        failure({"uidmap=0:0:1"}), "mount options 'uidmap' and 'gidmap': one without the other"
    );
    for (const char* option : {"uidmap=0:1", "uidmap=a:1:1", "uidmap=0:1:1:1", "uidmap=0:1:-1"}) {
        EXPECT_EQ(
            failure({option, "gidmap=0:0:1"}),
            "mount option '" + std::string(option) + "' must be of the form container:host:size"
        );
    }
    EXPECT_EQ(
        failure({"uidmap=0:1:0", "gidmap=0:0:1"}),
        "mount option 'uidmap=0:1:0' the size must not be 0"
    );
}

} // namespace
} // namespace cppvm::storage
