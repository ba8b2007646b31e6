#include "common/base/error.hpp"
#include "host/storage/overlay_options.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

namespace cppvm::storage {
namespace {

std::string layers(const std::string& base, int count) {
    std::string data =
        "index=off,workdir=" + base + "/snap/w/work,upperdir=" + base + "/snap/u/fs,lowerdir=";
    for (int i = 0; i < count; ++i) {
        data += (i == 0 ? "" : ":") + base + "/snap/" + std::to_string(i) + "/fs";
    }
    return data;
}

TEST(OverlayOptionsTest, RewritesPathsRelativeToWhatTheyShare) {
    const testing::TempDir dir;
    dir.write("snap/x", "");
    const auto options = shorten_overlay_options(layers(dir.path(), 2));
    const std::string fd = "/proc/self/fd/" + std::to_string(options.directory.get());
    EXPECT_EQ(
        options.data,
        "index=off,workdir=" + fd + "/w/work,upperdir=" + fd + "/u/fs,lowerdir=" + fd +
            "/0/fs:" + fd + "/1/fs"
    );
}

TEST(OverlayOptionsTest, FitsAHundredLayersOfALongPath) {
    const testing::TempDir dir;
    const std::string base = dir / std::string(100, 'd');
    std::filesystem::create_directories(base + "/snap");
    const std::string data = layers(base, 120);
    ASSERT_GT(data.size(), max_mount_data);
    EXPECT_LE(shorten_overlay_options(data).data.size(), max_mount_data);
}

TEST(OverlayOptionsTest, RefusesWhatStaysTooLongOrHasNothingInCommon) {
    const testing::TempDir dir;
    dir.write("snap/x", "");
    EXPECT_THROW(shorten_overlay_options(layers(dir.path(), 2000)), Error);
    EXPECT_THROW(shorten_overlay_options("lowerdir=/a:/b" + std::string(5000, 'x')), Error);
    EXPECT_THROW(shorten_overlay_options("index=off"), Error);
}

TEST(OverlayOptionsTest, RenamesLowerLayersAlone) {
    std::string asked;
    const std::string renamed = rename_lower_layers(
        "index=off,lowerdir=/a:/b\\:c::/d,upperdir=/a",
        [&](const std::string& path) {
            asked += path + " ";
            return "/new" + path.substr(0, 2);
        }
    );
    EXPECT_EQ(asked, "/a /b:c /d ");
    EXPECT_EQ(renamed, "index=off,lowerdir=/new/a:/new/b::/new/d,upperdir=/a");
}

} // namespace
} // namespace cppvm::storage
