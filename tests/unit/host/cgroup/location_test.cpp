#include "host/cgroup/location.hpp"

#include <gtest/gtest.h>

namespace cppvm::cgroup {
namespace {

std::string at(std::string_view cgroups_path) {
    return sandbox_cgroup(cgroups_path, "me");
}

// What ctr, CRI and dockerd send with the cgroupfs driver.
TEST(LocationTest, IsBesideTheContainersCgroup) {
    EXPECT_EQ(at("/default/container"), "default/me");
    EXPECT_EQ(at("/kubepods/besteffort/pod7f/0a1b"), "kubepods/besteffort/pod7f/me");
    EXPECT_EQ(at("/docker/0a1b"), "docker/me");
    EXPECT_EQ(at("/container"), "me");
    EXPECT_TRUE(is_cgroups_path("/container"));
}

// With the systemd driver; expanded as systemd.slice(5) says.
TEST(LocationTest, IsInTheSliceThatSystemdHasMade) {
    EXPECT_EQ(
        at("kubepods-besteffort-pod7f_2.slice:cri-containerd:0a1b"),
        "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod7f_2.slice/me"
    );
    EXPECT_EQ(at("system.slice:docker:0a1b"), "system.slice/me");
    EXPECT_TRUE(is_cgroups_path("system.slice:docker:0a1b"));
    EXPECT_EQ(at(":docker:0a1b"), "system.slice/me");
    EXPECT_EQ(at("-.slice:docker:0a1b"), "me");
}

TEST(LocationTest, IsOurOwnWhereNothingUsableIsSaid) {
    EXPECT_EQ(at(""), "cppvm/me");
    EXPECT_FALSE(is_cgroups_path(""));
    EXPECT_EQ(at(std::string_view("/a\0b/c", 6)), "cppvm/me");
    for (const char* slice : {"a", "a--b.slice", "-a.slice", "a-.slice", ".slice", "../a.slice"}) {
        EXPECT_EQ(at(std::string(slice) + ":x:y"), "cppvm/me") << slice;
        EXPECT_FALSE(is_cgroups_path(std::string(slice) + ":x:y")) << slice;
    }
}

TEST(LocationTest, LeadsOutOfNoHierarchy) {
    EXPECT_EQ(at("../../etc/x"), "etc/me");
    EXPECT_EQ(at("/a/../../b/x"), "b/me");
    EXPECT_EQ(at("/a/b/"), "a/me");
    EXPECT_EQ(at("/"), "me");
    EXPECT_EQ(at("a/b:c"), "a/me");
}

} // namespace
} // namespace cppvm::cgroup
