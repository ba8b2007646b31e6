#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <linux/openat2.h>

namespace cppvm {
namespace {

class FileTest : public ::testing::Test {
  protected:
    FileTest() { EXPECT_NE(::mkdtemp(directory_.data()), nullptr); }
    ~FileTest() override { std::filesystem::remove_all(directory_); }

    std::string directory_ = "/tmp/cppvm-file-test-XXXXXX";
};

TEST_F(FileTest, ReadsBackWhatWasWrittenAtomically) {
    const auto path = std::filesystem::path(directory_) / "a";
    write_file_atomically(path, "first", 0600);
    write_file_atomically(path, "second", 0640);
    EXPECT_EQ(read_file(path, 100), "second");
    const auto permissions = std::filesystem::status(path).permissions();
    EXPECT_EQ(permissions, std::filesystem::perms(0640));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(FileTest, LeavesNothingWhenAnAtomicWriteFails) {
    const auto path = std::filesystem::path(directory_) / "a";
    std::filesystem::create_directory(path); // rename over a directory fails
    EXPECT_THROW(write_file_atomically(path, "x", 0600), Error);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(FileTest, RefusesAFileOverTheLimit) {
    const auto path = std::filesystem::path(directory_) / "a";
    write_file_atomically(path, std::string(100, 'x'), 0600);
    EXPECT_EQ(read_file(path, 100).size(), 100U);
    try {
        read_file(path, 99);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::resource_exhausted);
        EXPECT_NE(error.message().find(path.native()), std::string::npos);
    }
}

TEST_F(FileTest, MakesEveryMissingDirectory) {
    const auto path = std::filesystem::path(directory_) / "a/b/c";
    make_directories(path, 0711);
    make_directories(path, 0711); // one that exists is no error
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0711));
    write_file_atomically(path / "file", "", 0600);
    EXPECT_THROW(make_directories(path / "file/d", 0711), Error);
}

TEST_F(FileTest, OpensWithinItsDirectoryAlone) {
    const auto inside = std::filesystem::path(directory_) / "inside";
    make_directory(inside, 0700);
    std::filesystem::create_symlink("/etc/passwd", inside / "link");
    std::filesystem::create_symlink("..", inside / "up");
    const UniqueFd directory = open_file(inside, O_PATH | O_DIRECTORY);
    EXPECT_FALSE(open_resolved(directory.get(), "link", O_RDONLY, RESOLVE_BENEATH));
    EXPECT_EQ(errno, EXDEV);
    EXPECT_FALSE(open_resolved(directory.get(), "link", O_RDONLY, RESOLVE_IN_ROOT));
    EXPECT_EQ(errno, ENOENT);
    EXPECT_FALSE(open_resolved(directory.get(), "up/inside", O_PATH, RESOLVE_BENEATH));
    EXPECT_TRUE(open_resolved(directory.get(), "up", O_PATH, RESOLVE_IN_ROOT));
}

TEST_F(FileTest, KnowsAFileByAnyOfItsNames) {
    const UniqueFd network = open_file("/proc/self/ns/net", O_RDONLY);
    EXPECT_TRUE(is_same_file("/proc/thread-self/ns/net", network.get()));
    EXPECT_FALSE(is_same_file("/proc/self/ns/uts", network.get()));
    EXPECT_FALSE(is_same_file("/proc/self/ns/none", network.get()));
    EXPECT_FALSE(is_same_file("/proc/self/ns/net", -1));
}

} // namespace
} // namespace cppvm
