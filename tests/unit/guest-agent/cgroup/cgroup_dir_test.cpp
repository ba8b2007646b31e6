#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "guest-agent/cgroup/cgroup_dir.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/failure_of.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace cppvm::guest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

/// A directory that looks like a cgroup. The kernel's side (kill, events, rmdir) is tested against
/// real ones in tests/integration/guest.
class CgroupDirTest : public ::testing::Test {
  protected:
    CgroupDirTest() {
        std::string name = "/tmp/cppvm-cgroup-test.XXXXXX";
        root = ::mkdtemp(name.data());
    }
    ~CgroupDirTest() override { fs::remove_all(root); }

    void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

    fs::path root;
    asio::io_context loop;
};

TEST_F(CgroupDirTest, EnablesTheControllersThatThereAre) {
    write(root / "cgroup.controllers", "cpuset memory rdma\n");
    write(root / "cgroup.subtree_control", "");
    enable_controllers(root, Logger());
    // A plain file keeps the last word.
    EXPECT_THAT(read_file(root / "cgroup.subtree_control", 100), HasSubstr("+memory"));
}

TEST_F(CgroupDirTest, WritesLimits) {
    CgroupDir cgroup(loop.get_executor(), root / "c1");
    write(root / "c1/cgroup.controllers", "cpu memory pids\n");
    write(root / "c1/memory.max", "");
    write(root / "c1/pids.max", "");
    cgroup.apply({{"memory", "memory.max", "1000"}, {"pids", "pids.max", "5"}});
    EXPECT_EQ(read_file(root / "c1/memory.max", 100), "1000");
    EXPECT_EQ(read_file(root / "c1/pids.max", 100), "5");
}

TEST_F(CgroupDirTest, LeavesOutWhatMayBeAndIsNotThere) {
    CgroupDir cgroup(loop.get_executor(), root / "c1");
    write(root / "c1/cgroup.controllers", "hugetlb pids\n");
    write(root / "c1/hugetlb.2MB.max", "");
    write(root / "c1/pids.max", "");
    const std::vector<CgroupWrite> limits{
        {"hugetlb", "hugetlb.2MB.max", "1", "first"},
        {"hugetlb", "hugetlb.1GB.max", "2", "second"},
        {"hugetlb", "hugetlb.1GB.rsvd.max", "2", "second"},
        {"rdma", "rdma.max", "3", "third"},
        {"pids", "pids.max", "5"},
    };
    EXPECT_THAT(cgroup.apply(limits), ElementsAre("second", "third"));
    EXPECT_EQ(read_file(root / "c1/hugetlb.2MB.max", 100), "1");
    EXPECT_EQ(read_file(root / "c1/pids.max", 100), "5");
    EXPECT_THAT(cgroup.change(limits), ElementsAre("second", "third"));
}

TEST_F(CgroupDirTest, RefusesALimitBelowWhatIsInUse) {
    CgroupDir cgroup(loop.get_executor(), root / "c1");
    write(root / "c1/memory.current", "4096\n");
    EXPECT_NO_THROW(cgroup.check_memory({.limit = 4096}));
    EXPECT_NO_THROW(cgroup.check_memory({.limit = -1}));
    EXPECT_NO_THROW(cgroup.check_memory({}));
    EXPECT_EQ(
        testing::failure_of([&] { cgroup.check_memory({.limit = 4095}); }),
        "linux.resources.memory.limit: 4095 is below the 4096 bytes in use (checkBeforeUpdate)"
    );
}

TEST_F(CgroupDirTest, NamesAMissingController) {
    CgroupDir cgroup(loop.get_executor(), root / "c1");
    write(root / "c1/cgroup.controllers", "cpuset\n");
    try {
        cgroup.apply({{"cpu", "cpu.max", "1 2"}});
        FAIL() << "nothing was thrown";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::failed_precondition);
        EXPECT_THAT(error.message(), HasSubstr("no cgroup controller 'cpu'"));
    }
}

TEST_F(CgroupDirTest, DoesWithoutSwapAccounting) {
    CgroupDir cgroup(loop.get_executor(), root / "c1");
    write(root / "c1/cgroup.controllers", "memory\n");
    EXPECT_NO_THROW(cgroup.apply({{"memory", "memory.swap.max", "0"}}));
    EXPECT_THROW(cgroup.apply({{"memory", "memory.max", "0"}}), Error);
}

TEST_F(CgroupDirTest, RefusesADirectoryThatIsThere) {
    fs::create_directory(root / "c1");
    EXPECT_THROW(CgroupDir(loop.get_executor(), root / "c1"), Error);
    EXPECT_TRUE(fs::exists(root / "c1"));
}

TEST_F(CgroupDirTest, ListsProcessesOfNestedCgroups) {
    CgroupDir cgroup(loop.get_executor(), root / "c1");
    fs::create_directories(root / "c1/a/b");
    write(root / "c1/cgroup.procs", "0\n12\n");
    write(root / "c1/a/b/cgroup.procs", "34\n56\n");
    EXPECT_THAT(cgroup.processes(), ::testing::UnorderedElementsAre(12, 34, 56));
}

} // namespace
} // namespace cppvm::guest
