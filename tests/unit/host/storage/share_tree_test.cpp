#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/storage/share_tree.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>

namespace cppvm::storage {
namespace {

class ShareTreeTest : public ::testing::Test {
  protected:
    testing::TempDir dir;
    UniqueFd share = open_file(dir.path(), O_PATH | O_DIRECTORY);
};

TEST_F(ShareTreeTest, MakesAndRemovesMountPoints) {
    make_container_tree(share.get(), "box");
    make_volume_point(share.get(), "box", 0, true);
    make_volume_point(share.get(), "box", 1, false);
    EXPECT_TRUE(std::filesystem::is_directory(dir / "box/rootfs"));
    EXPECT_TRUE(std::filesystem::is_directory(dir / "box/mounts/0"));
    EXPECT_TRUE(std::filesystem::is_regular_file(dir / "box/mounts/1"));
    remove_container_tree(share.get(), "box");
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
    remove_container_tree(share.get(), "box");
}

TEST_F(ShareTreeTest, RefusesAContainerThatIsThere) {
    make_container_tree(share.get(), "box");
    try {
        make_container_tree(share.get(), "box");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::already_exists);
    }
}

// What holds data was not made by us, whatever the path says.
TEST_F(ShareTreeTest, NeverRemovesAnybodysFiles) {
    make_container_tree(share.get(), "box");
    const auto in_rootfs = dir.write("box/rootfs/etc/passwd", "root");
    EXPECT_THROW(remove_container_tree(share.get(), "box"), Error);
    EXPECT_TRUE(std::filesystem::exists(in_rootfs));
    const auto volume = dir.write("box/mounts/0", "text");
    EXPECT_THROW(remove_all_trees(share.get()), Error);
    EXPECT_TRUE(std::filesystem::exists(volume));
    const auto foreign = dir.write("file", "text");
    EXPECT_THROW(remove_all_trees(share.get()), Error);
    EXPECT_TRUE(std::filesystem::exists(foreign));
}

TEST_F(ShareTreeTest, RemovesAllTrees) {
    make_container_tree(share.get(), "first");
    make_container_tree(share.get(), "second");
    make_volume_point(share.get(), "second", 7, false);
    remove_all_trees(share.get());
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(ContainerIdTest, MustBeOnePathComponent) {
    for (const std::string& id :
         {std::string(),
          std::string("."),
          std::string(".."),
          std::string("a/b"),
          std::string("/"),
          std::string("a\0b", 3),
          std::string(300, 'a')}) {
        EXPECT_THROW(check_container_id(id), Error) << id;
    }
    EXPECT_NO_THROW(check_container_id("a..b"));
}

} // namespace
} // namespace cppvm::storage
