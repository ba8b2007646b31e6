// The cgroup of a sandbox, in the hierarchies of this machine, and in version 2 alone where that is
// mounted beside them.

#include "common/base/error.hpp"
#include "host/cgroup/hierarchy.hpp"
#include "host/cgroup/placement.hpp"
#include "host/cgroup/sandbox_cgroup.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace cppvm::cgroup {
namespace {

using cppvm::testing::TempDir;

/// A child, which is born where this process is, until the end of the test.
class Helper {
  public:
    Helper() : pid_(::fork()) {
        if (pid_ == 0) {
            ::pause();
            ::_exit(0);
        }
    }
    Helper(const Helper&) = delete;
    Helper& operator=(const Helper&) = delete;
    ~Helper() { end(); }

    pid_t pid() const noexcept { return pid_; }

    void end() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
            pid_ = -1;
        }
    }

  private:
    pid_t pid_;
};

/// Version 2, mounted for the test in a mount namespace of its own: beside version 1 it has no
/// controllers.
class Unified {
  public:
    Unified() {
        if (::unshare(CLONE_NEWNS) != 0 ||
            ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("none", directory_.path().c_str(), "cgroup2", 0, nullptr) != 0) {
            throw_errno("mount cgroup2 (needs root)", directory_.path().native());
        }
    }
    Unified(const Unified&) = delete;
    Unified& operator=(const Unified&) = delete;
    ~Unified() { ::umount(directory_.path().c_str()); }

    std::vector<Hierarchy> hierarchies() const { return {{directory_.path(), ""}}; }

  private:
    TempDir directory_;
};

class SandboxCgroupTest : public ::testing::TestWithParam<bool> {
  protected:
    SandboxCgroupTest() : hierarchies_(GetParam() ? unified_.hierarchies() : find_hierarchies()) {
        EXPECT_FALSE(hierarchies_.empty());
    }

    void expect_gone(const std::filesystem::path& location) const {
        for (const auto& hierarchy : hierarchies_) {
            EXPECT_FALSE(std::filesystem::exists(hierarchy.root / location)) << hierarchy.root;
        }
    }

    Unified unified_;
    std::vector<Hierarchy> hierarchies_;
    TempDir dir_;
    std::string name_ = "cppvm-test-" + std::to_string(::getpid());
};

INSTANTIATE_TEST_SUITE_P(
    Hierarchies,
    SandboxCgroupTest,
    ::testing::Values(false, true),
    [](const auto& info) { return info.param ? "Version2" : "OfThisMachine"; }
);

TEST_P(SandboxCgroupTest, StepsOutAloneAndIsRemovedWhenItIsLeft) {
    const auto before = membership(0, hierarchies_);
    SandboxCgroup group(name_, hierarchies_, dir_ / "record");
    const auto inside = membership(0, hierarchies_);
    EXPECT_NE(inside, before);
    Helper helper;

    group.step_out();
    EXPECT_EQ(membership(0, hierarchies_), before);
    EXPECT_EQ(membership(helper.pid(), hierarchies_), inside);
    EXPECT_TRUE(std::filesystem::exists(dir_ / "record"));
    EXPECT_EQ(group.memory_kills(), 0U);

    helper.end();
    EXPECT_TRUE(group.leave());
    EXPECT_EQ(membership(0, hierarchies_), before);
    expect_gone(name_);
    EXPECT_FALSE(std::filesystem::exists(dir_ / "record"));
}

// As the libvirt helper moves QEMU out of libvirt's cgroup.
TEST_P(SandboxCgroupTest, TakesInAProcessFromElsewhere) {
    Helper helper;
    EXPECT_TRUE(own_cgroups(name_, hierarchies_).empty());
    SandboxCgroup group(name_, hierarchies_, dir_ / "record");
    const auto places = own_cgroups(name_, hierarchies_);
    ASSERT_EQ(places.size(), hierarchies_.size());
    EXPECT_NE(membership(helper.pid(), hierarchies_), membership(0, hierarchies_));
    move_to(places, helper.pid());
    EXPECT_EQ(membership(helper.pid(), hierarchies_), membership(0, hierarchies_));
    helper.end();
    EXPECT_TRUE(group.leave());
    EXPECT_THROW(move_to(places, ::getpid()), Error); // into what is gone
    expect_gone(name_);
}

// The pod's cgroup is the kubelet's to remove, and must then be empty.
TEST_P(SandboxCgroupTest, LeavesThePodsCgroupToItsMaker) {
    const std::string pod = name_ + ".slice";
    SandboxCgroup group(std::filesystem::path(pod) / "vm", hierarchies_, dir_ / "record");
    EXPECT_TRUE(group.leave());
    for (const auto& hierarchy : hierarchies_) {
        EXPECT_TRUE(std::filesystem::remove(hierarchy.root / pod)) << hierarchy.root;
    }
}

} // namespace
} // namespace cppvm::cgroup
