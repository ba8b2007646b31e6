#include "host/cgroup/location.hpp"

#include <gtest/gtest.h>

#include <utility>

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

// With the systemd driver, as runc expands slices (ExpandSlice) and systemd.slice(5) says.
TEST(LocationTest, IsInTheSliceThatSystemdHasMade) {
    const std::pair<const char*, const char*> slices[] = {
        {"kubepods-besteffort-pod7f_2.slice",
         "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod7f_2.slice/me"},
        {"kubepods-pod7f.slice", "kubepods.slice/kubepods-pod7f.slice/me"}, // a guaranteed pod
        {"kubelet-kubepods-burstable-pod7f.slice",
         "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
         "kubelet-kubepods-burstable-pod7f.slice/me"},
        {"system.slice", "system.slice/me"},
        {"a.b.slice", "a.b.slice/me"},
        {"a\\x2db-c.slice", "a\\x2db.slice/a\\x2db-c.slice/me"},
        {"", "system.slice/me"},
        {"-.slice", "me"},
    };
    for (const auto& [slice, expected] : slices) {
        const std::string path = std::string(slice) + ":cri-containerd:0a1b";
        EXPECT_EQ(at(path), expected) << slice;
        EXPECT_TRUE(is_cgroups_path(path)) << slice;
    }
}

// The name of the container's own unit does not matter.
TEST(LocationTest, IsBesideTheContainersUnit) {
    EXPECT_EQ(at("a.slice::c"), "a.slice/me");
    EXPECT_EQ(at("a.slice:docker:c.slice"), "a.slice/me");
    EXPECT_EQ(at("a.slice:x:"), "a.slice/me");
}

TEST(LocationTest, IsOurOwnWhereNothingUsableIsSaid) {
    EXPECT_EQ(at(""), "cppvm/me");
    EXPECT_FALSE(is_cgroups_path(""));
    EXPECT_EQ(at(std::string_view("/a\0b/c", 6)), "cppvm/me");
    for (const char* slice :
         {"a",
          "a--b.slice",
          "-a.slice",
          "a-.slice",
          ".slice",
          "../a.slice",
          "a/b.slice",
          "--.slice",
          "a.slicer",
          "slice"}) {
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
    EXPECT_EQ(at("/a/b:c:d"), "a/me");
    EXPECT_EQ(at("/a.slice:b:c/d"), "a.slice:b:c/me");
}

} // namespace
} // namespace cppvm::cgroup
