#include "common/os/process_usage.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm {
namespace {

/// A child that has a child of its own; both wait.
class Family {
  public:
    Family() {
        EXPECT_EQ(::pipe(ready_), 0);
        child_ = ::fork();
        if (child_ == 0) {
            const pid_t grandchild = ::fork();
            if (grandchild == 0) {
                ::prctl(PR_SET_PDEATHSIG, SIGKILL);
                ::prctl(PR_SET_NAME, "a (b) \x01)");
                static_cast<void>(!::write(ready_[1], "x", 1));
            }
            ::pause();
            ::_exit(0);
        }
        char byte = 0;
        EXPECT_EQ(::read(ready_[0], &byte, 1), 1);
    }
    ~Family() {
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
        ::close(ready_[0]);
        ::close(ready_[1]);
    }
    Family(const Family&) = delete;
    Family& operator=(const Family&) = delete;

    pid_t child() const { return child_; }

  private:
    int ready_[2] = {-1, -1};
    pid_t child_ = -1;
};

TEST(ProcessUsageTest, FindsAllDescendants) {
    const Family family;
    const auto below = descendants(::getpid());
    ASSERT_EQ(below.size(), 2U);
    EXPECT_EQ(below[0], family.child());
    EXPECT_EQ(descendants(family.child()), std::vector<pid_t>{below[1]});
    EXPECT_TRUE(descendants(below[1]).empty());
}

TEST(ProcessUsageTest, ReadsNameMemoryAndTime) {
    const Family family;
    const auto usage = read_process_usage(descendants(family.child()).at(0));
    ASSERT_TRUE(usage);
    EXPECT_EQ(usage->name, "a (b) ?)");
    EXPECT_GT(usage->memory_bytes, 4096U);
    EXPECT_LT(usage->cpu, std::chrono::seconds(10));
}

TEST(ProcessUsageTest, CountsTheTimeThatAProcessHasWorked) {
    const auto before = read_process_usage(::getpid());
    ASSERT_TRUE(before);
    volatile unsigned work = 0;
    std::optional<ProcessUsage> now;
    do { // ends when the kernel has counted a tick
        for (int i = 0; i < 1'000'000; ++i) {
            work = work + 1;
        }
        now = read_process_usage(::getpid());
        ASSERT_TRUE(now);
    } while (now->cpu == before->cpu);
    EXPECT_GT(now->cpu, before->cpu);
}

TEST(ProcessUsageTest, IsNothingForNoProcess) {
    EXPECT_FALSE(read_process_usage(0x7ffffff0));
    EXPECT_TRUE(descendants(0x7ffffff0).empty());
}

} // namespace
} // namespace cppvm
