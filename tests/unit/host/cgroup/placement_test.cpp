#include "host/cgroup/placement.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>

#include <string>

namespace cppvm::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr pid_t qemu = 77;

/// A directory like /proc.
class PlacementTest : public ::testing::Test {
  protected:
    void add(pid_t pid, const std::string& name, bool is_of_kernel) const {
        const std::string directory = std::to_string(pid);
        const std::string flags = is_of_kernel ? "2129984" : "4194304";
        proc_.write(
            directory + "/stat", directory + " (" + name + ") S 2 0 0 0 -1 " + flags + " 0"
        );
        proc_.write(directory + "/comm", name + "\n");
    }

    std::vector<pid_t> found(const Place& place) const {
        return kernel_threads(place, qemu, proc_.path());
    }

    testing::TempDir proc_;
    testing::TempDir root_;
};

TEST_F(PlacementTest, FindsWhatTheKernelHasMadeForAProcess) {
    add(10, "vhost-77", true);
    add(11, "vhost-78", true);
    add(12, "vhost-77", false); // calls itself so
    add(13, "kvm-nx-lpage-recovery-77", true);
    add(14, "vhost-177", true);
    add(15, "kworker/u4:2-77x", true);
    add(16, "77", true);
    root_.write("vm/cgroup.threads", "10\n11\n12\n13\n14\n15\n16\n17\n"); // 17 has ended
    root_.write("memory/vm/tasks", "11\n13\n");
    EXPECT_THAT(found({{root_.path(), ""}, root_ / "vm"}), ElementsAre(10, 13));
    EXPECT_THAT(found({{root_ / "memory", "memory"}, root_ / "memory/vm"}), ElementsAre(13));
}

TEST_F(PlacementTest, FindsNothingInACgroupThatIsGone) {
    EXPECT_THAT(found({{root_.path(), ""}, root_ / "vm"}), IsEmpty());
}

} // namespace
} // namespace cppvm::cgroup
