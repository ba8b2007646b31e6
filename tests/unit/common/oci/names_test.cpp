#include "common/oci/names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <linux/capability.h>
#include <sched.h>
#include <set>
#include <sys/mount.h>

namespace cppvm::oci {
namespace {

using ::testing::Contains;
using ::testing::SizeIs;

TEST(MountWordsTest, AreDifferent) {
    std::set<std::string_view> names = {"bind", "rbind"};
    for (const MountWord& word : mount_words()) {
        EXPECT_TRUE(names.insert(word.name).second) << word.name;
    }
    for (const PropagationWord& word : propagation_words()) {
        EXPECT_TRUE(names.insert(word.name).second) << word.name;
    }
}

TEST(MountWordsTest, GiveTheKernelsNumbers) {
    const MountWord* const ro = find_mount_word("ro");
    EXPECT_EQ(ro->flags, static_cast<unsigned long>(MS_RDONLY));
    EXPECT_EQ(ro->attributes, static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY));
    EXPECT_EQ(ro->no_flags, 0U);
    const MountWord* const rw = find_mount_word("rw");
    EXPECT_EQ(rw->no_flags, ro->flags);
    EXPECT_EQ(rw->no_attributes, ro->attributes);
    EXPECT_EQ(find_mount_word("sync")->flags, static_cast<unsigned long>(MS_SYNCHRONOUS));
    EXPECT_FALSE(find_mount_word("sync")->has_attributes());
    EXPECT_EQ(find_mount_word("mode=755"), nullptr);
    EXPECT_EQ(find_mount_word(""), nullptr);
}

TEST(MountWordsTest, KnowRecursiveForms) {
    EXPECT_EQ(find_recursive_mount_word("rro"), find_mount_word("ro"));
    EXPECT_EQ(find_recursive_mount_word("rnoatime"), find_mount_word("noatime"));
    EXPECT_EQ(find_recursive_mount_word("rsync"), nullptr) << "mounts have no such attribute";
    EXPECT_EQ(find_recursive_mount_word("ro"), nullptr);
    EXPECT_EQ(find_recursive_mount_word("rbind"), nullptr);
    EXPECT_EQ(find_recursive_mount_word("r"), nullptr);
}

TEST(PropagationWordsTest, GiveTheKernelsNumbers) {
    EXPECT_EQ(find_propagation_word("shared")->flags, static_cast<unsigned long>(MS_SHARED));
    EXPECT_EQ(
        find_propagation_word("rslave")->flags, static_cast<unsigned long>(MS_SLAVE | MS_REC)
    );
    EXPECT_EQ(find_propagation_word("rro"), nullptr);
}

TEST(NamespaceWordsTest, GiveTheKernelsNumbers) {
    EXPECT_EQ(find_namespace_word("mount")->flag, static_cast<std::uint64_t>(CLONE_NEWNS));
    EXPECT_EQ(find_namespace_word("network")->flag, static_cast<std::uint64_t>(CLONE_NEWNET));
    EXPECT_EQ(find_namespace_word("time")->flag, static_cast<std::uint64_t>(CLONE_NEWTIME));
    EXPECT_EQ(find_namespace_word("space"), nullptr);
}

TEST(CapabilityTest, KnowsTheKernelsNames) {
    EXPECT_EQ(capability_number("CAP_CHOWN"), CAP_CHOWN);
    EXPECT_EQ(capability_number("CAP_NET_RAW"), CAP_NET_RAW);
    EXPECT_EQ(capability_number("CAP_SYS_ADMIN"), CAP_SYS_ADMIN);
    EXPECT_EQ(capability_number("CAP_SETFCAP"), CAP_SETFCAP);
    EXPECT_EQ(capability_number("CAP_AUDIT_READ"), CAP_AUDIT_READ);
    EXPECT_EQ(capability_number("CAP_CHECKPOINT_RESTORE"), CAP_LAST_CAP);
}

TEST(CapabilityTest, RefusesOtherWords) {
    EXPECT_EQ(capability_number(""), std::nullopt);
    EXPECT_EQ(capability_number("chown"), std::nullopt);
    EXPECT_EQ(capability_number("cap_chown"), std::nullopt);
    EXPECT_EQ(capability_number("CAP_CHOWN "), std::nullopt);
}

TEST(CapabilityTest, ListsAllThatItKnows) {
    const auto names = capability_names();
    EXPECT_THAT(names, SizeIs(CAP_LAST_CAP + 1));
    EXPECT_THAT(names, Contains("CAP_CHECKPOINT_RESTORE"));
    for (std::size_t number = 0; number < names.size(); ++number) {
        EXPECT_EQ(capability_number(names[number]), number) << names[number];
    }
}

} // namespace
} // namespace cppvm::oci
