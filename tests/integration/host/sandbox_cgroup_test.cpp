// The cgroup of a sandbox, in the hierarchies of this machine.

#include "common/os/file.hpp"
#include "host/cgroup/hierarchy.hpp"
#include "host/cgroup/sandbox_cgroup.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace cppvm::cgroup {
namespace {

using cppvm::testing::TempDir;

constexpr std::size_t max_membership_bytes = 4096;

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

    std::vector<std::filesystem::path> membership(const std::vector<Hierarchy>& hierarchies) const {
        const std::string path = "/proc/" + std::to_string(pid_) + "/cgroup";
        return parse_membership(read_file(path, max_membership_bytes), hierarchies);
    }

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

TEST(SandboxCgroupTest, StepsOutAloneAndIsRemovedWhenItIsLeft) {
    const auto hierarchies = find_hierarchies();
    ASSERT_FALSE(hierarchies.empty());
    const auto before = own_membership(hierarchies);
    const std::string location = "cppvm-test-" + std::to_string(::getpid());
    const TempDir dir;
    SandboxCgroup group(location, hierarchies, dir / "record");
    const auto inside = own_membership(hierarchies);
    EXPECT_NE(inside, before);
    Helper helper;

    group.step_out();
    EXPECT_EQ(own_membership(hierarchies), before);
    EXPECT_EQ(helper.membership(hierarchies), inside);
    EXPECT_TRUE(std::filesystem::exists(dir / "record"));

    helper.end();
    EXPECT_TRUE(group.leave());
    EXPECT_EQ(own_membership(hierarchies), before);
    for (const auto& hierarchy : hierarchies) {
        EXPECT_FALSE(std::filesystem::exists(hierarchy.root / location));
    }
    EXPECT_FALSE(std::filesystem::exists(dir / "record"));
}

} // namespace
} // namespace cppvm::cgroup
