#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "guest-agent/setup/root_walk.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>

namespace cppvm::guest {
namespace {

namespace fs = std::filesystem;

class RootWalkTest : public ::testing::Test {
  protected:
    RootWalkTest() {
        std::string name = "/tmp/cppvm-walk-test.XXXXXX";
        base = ::mkdtemp(name.data());
        fs::create_directories(base / "root/dir/deep");
        std::ofstream(base / "root/dir/file") << "x";
        std::ofstream(base / "outside") << "x";
        fd = open_file(base / "root", O_PATH | O_DIRECTORY);
    }
    ~RootWalkTest() override { fs::remove_all(base); }

    /// Whether a descriptor names a path below `base`.
    ::testing::AssertionResult names(const UniqueFd& node, const fs::path& path) {
        struct stat left{};
        struct stat right{};
        if (!node || ::fstat(node.get(), &left) != 0) {
            return ::testing::AssertionFailure() << "there is no node";
        }
        if (::lstat((base / path).c_str(), &right) != 0) {
            return ::testing::AssertionFailure() << path << " does not exist";
        }
        return left.st_ino == right.st_ino && left.st_dev == right.st_dev
                   ? ::testing::AssertionSuccess()
                   : ::testing::AssertionFailure() << "another node than " << path;
    }

    fs::path base;
    UniqueFd fd;
};

TEST_F(RootWalkTest, FindsWhatIsThere) {
    EXPECT_TRUE(names(resolve_in_root(fd.get(), "/"), "root"));
    EXPECT_TRUE(names(resolve_in_root(fd.get(), "/dir/file"), "root/dir/file"));
    EXPECT_TRUE(names(resolve_in_root(fd.get(), "//dir/./deep/"), "root/dir/deep"));
    EXPECT_FALSE(resolve_in_root(fd.get(), "/dir/none"));
    EXPECT_FALSE(resolve_in_root(fd.get(), "/dir/file/below"));
}

TEST_F(RootWalkTest, StopsAtTheRoot) {
    EXPECT_TRUE(names(resolve_in_root(fd.get(), "/../../../../dir"), "root/dir"));
    EXPECT_TRUE(names(resolve_in_root(fd.get(), "/dir/deep/../../../dir/file"), "root/dir/file"));
    EXPECT_FALSE(resolve_in_root(fd.get(), "/../outside"));
}

TEST_F(RootWalkTest, FollowsLinksInside) {
    fs::create_symlink("/dir", base / "root/absolute");
    fs::create_symlink("deep/../file", base / "root/dir/relative");
    fs::create_symlink(base / "outside", base / "root/escape");
    fs::create_symlink("../../../../../../../" + (base / "outside").native(), base / "root/dots");
    EXPECT_TRUE(names(resolve_in_root(fd.get(), "/absolute/file"), "root/dir/file"));
    EXPECT_TRUE(names(resolve_in_root(fd.get(), "/dir/relative"), "root/dir/file"));
    EXPECT_FALSE(resolve_in_root(fd.get(), "/escape"));
    EXPECT_FALSE(resolve_in_root(fd.get(), "/dots"));
}

TEST_F(RootWalkTest, MakesWhatIsMissingInside) {
    fs::create_symlink("/run/made/file", base / "root/dangling");
    EXPECT_TRUE(names(make_in_root(fd.get(), "/a/b", NodeKind::directory), "root/a/b"));
    EXPECT_TRUE(names(make_in_root(fd.get(), "/c/d", NodeKind::file), "root/c/d"));
    EXPECT_TRUE(names(make_in_root(fd.get(), "/dangling", NodeKind::file), "root/run/made/file"));
    EXPECT_TRUE(fs::is_regular_file(base / "root/run/made/file"));
    EXPECT_TRUE(names(make_in_root(fd.get(), "/dir/file", NodeKind::directory), "root/dir/file"));
    EXPECT_THROW(make_in_root(fd.get(), "/dir/file/x", NodeKind::file), Error);
}

TEST_F(RootWalkTest, RefusesLoopsAndMagicLinks) {
    fs::create_symlink("/loop", base / "root/loop");
    EXPECT_THROW(resolve_in_root(fd.get(), "/loop"), Error);
    const UniqueFd real_root = open_file("/", O_PATH | O_DIRECTORY);
    EXPECT_THROW(resolve_in_root(real_root.get(), "/proc/self/fd/0"), Error);
    EXPECT_THROW(resolve_in_root(real_root.get(), "/proc/self/cwd/x"), Error);
    EXPECT_TRUE(resolve_in_root(real_root.get(), "/proc/self/status")); // an honest link
}

TEST_F(RootWalkTest, NamesThePlaceOfANewNode) {
    const NodePlace place = make_parent_in_root(fd.get(), "/x/y/node");
    EXPECT_EQ(place.name, "node");
    EXPECT_TRUE(names(place.parent, "root/x/y"));
    for (const char* path : {"/", "/x/", "/x/.", "/x/..", ""}) {
        EXPECT_THROW(make_parent_in_root(fd.get(), path), Error) << path;
    }
}

TEST(CleanPathTest, HasOneSpellingForEachPath) {
    EXPECT_EQ(clean_path("/proc"), "/proc");
    EXPECT_EQ(clean_path("/proc/"), "/proc");
    EXPECT_EQ(clean_path("//a/../proc/./"), "/proc");
    EXPECT_EQ(clean_path("/"), "/");
}

} // namespace
} // namespace cppvm::guest
