#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/process_id.hpp"
#include "host/rundir/remove_tree.hpp"
#include "host/rundir/run_dir_lock.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace cppvm {
namespace {

using namespace std::chrono_literals;
using testing::TempDir;

class RunDirLockTest : public ::testing::Test {
  protected:
    TempDir dir_;
    std::filesystem::path run_dir_ = dir_ / "cppvm/0123456789abcdef";
};

TEST_F(RunDirLockTest, MakesTheDirectory) {
    const auto lock = RunDirLock::take(run_dir_);
    ASSERT_TRUE(lock);
    EXPECT_EQ(lock->run_dir(), run_dir_);
    EXPECT_TRUE(lock->holds_nothing_else());
    struct stat status{};
    ASSERT_EQ(::stat(run_dir_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0711U, 0711U & ~0022U);
}

TEST_F(RunDirLockTest, IsHeldByOne) {
    auto lock = RunDirLock::take(run_dir_);
    EXPECT_FALSE(RunDirLock::take(run_dir_));
    EXPECT_FALSE(RunDirLock::take(run_dir_, 10ms));
    EXPECT_FALSE(RunDirLock::take_existing(run_dir_));
    lock.reset();
    EXPECT_TRUE(RunDirLock::take_existing(run_dir_));
}

TEST_F(RunDirLockTest, DoesNotMakeWhatIsOnlyLookedFor) {
    EXPECT_FALSE(RunDirLock::take_existing(run_dir_));
    EXPECT_FALSE(std::filesystem::exists(run_dir_));
}

TEST_F(RunDirLockTest, WaitsForTheLock) {
    auto lock = RunDirLock::take(run_dir_);
    const std::jthread other([&, held = std::move(lock)]() mutable { held.reset(); });
    EXPECT_TRUE(RunDirLock::take(run_dir_, 10s));
}

TEST_F(RunDirLockTest, RecordsTheDaemon) {
    const auto lock = RunDirLock::take(run_dir_);
    lock->write_daemon_pid();
    const auto process = parse_process_id(read_file(daemon_pid_path(run_dir_), 128));
    EXPECT_EQ(process, find_process(::getpid()));
    EXPECT_TRUE(lock->holds_nothing_else());
}

TEST_F(RunDirLockTest, RemovesEverything) {
    auto lock = RunDirLock::take(run_dir_);
    lock->write_daemon_pid();
    dir_.write("cppvm/0123456789abcdef/share/c/x", "text");
    EXPECT_FALSE(lock->holds_nothing_else());
    lock->remove();
    EXPECT_FALSE(std::filesystem::exists(run_dir_));
    EXPECT_TRUE(std::filesystem::exists(run_dir_.parent_path()));
}

TEST_F(RunDirLockTest, ToleratesAMissingDirectoryAtTheEnd) {
    auto lock = RunDirLock::take(run_dir_);
    std::filesystem::remove_all(run_dir_);
    EXPECT_FALSE(lock->holds_nothing_else());
    EXPECT_NO_THROW(lock->remove());
}

TEST_F(RunDirLockTest, WaiterDoesNotGetARemovedDirectory) {
    // All take, and remove what they took: nobody may hold a lock in a directory that is gone, and
    // no two at once.
    std::atomic<int> holders = 0;
    std::atomic<int> taken = 0;
    {
        std::vector<std::jthread> threads(4);
        for (auto& thread : threads) {
            thread = std::jthread([&] {
                for (int round = 0; round < 50; ++round) {
                    auto lock = RunDirLock::take(run_dir_, 10s);
                    if (!lock) {
                        continue;
                    }
                    EXPECT_EQ(++holders, 1);
                    EXPECT_TRUE(std::filesystem::exists(run_dir_ / "lock"));
                    ++taken;
                    --holders;
                    lock->remove();
                }
            });
        }
    }
    EXPECT_GE(taken, 150) << "too many gave up";
    EXPECT_FALSE(std::filesystem::exists(run_dir_));
}

TEST_F(RunDirLockTest, SaysThatTheParentIsAFile) {
    dir_.write("cppvm", "");
    EXPECT_THROW(RunDirLock::take(run_dir_), Error);
    EXPECT_FALSE(RunDirLock::take_existing(run_dir_));
}

TEST(RemoveTreeTest, DoesNotFollowLinks) {
    const TempDir dir;
    dir.write("kept/file", "text");
    std::filesystem::create_directories(dir / "gone/deep/deeper");
    std::filesystem::create_directory_symlink(dir / "kept", dir / "gone/link");
    std::filesystem::create_directory_symlink(dir / "kept", dir / "gone/deep/link");
    remove_tree(dir / "gone");
    EXPECT_FALSE(std::filesystem::exists(dir / "gone"));
    EXPECT_TRUE(std::filesystem::exists(dir / "kept/file"));
}

TEST(RemoveTreeTest, TakesFilesLinksAndNothing) {
    const TempDir dir;
    const auto file = dir.write("file", "text");
    std::filesystem::create_directory_symlink(dir.path(), dir / "link");
    remove_tree(dir / "link");
    EXPECT_TRUE(std::filesystem::exists(file));
    remove_tree(file);
    EXPECT_FALSE(std::filesystem::exists(file));
    EXPECT_NO_THROW(remove_tree(dir / "none"));
}

} // namespace
} // namespace cppvm
