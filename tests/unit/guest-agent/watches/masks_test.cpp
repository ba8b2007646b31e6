#include "guest-agent/watches/resolve.hpp"
#include "guest-agent/watches/shadow_server.hpp"

#include <gtest/gtest.h>

#include <sys/inotify.h>

namespace cppvm::guest {
namespace {

struct Mask {
    std::uint32_t asked = 0;
    bool hears_of_changes = false;
    std::uint32_t given = 0;
};

TEST(WatchMaskTest, LeavesOutWhoReads) {
    for (const auto& [asked, hears, given] : {
             Mask{0, false, 0},
             Mask{IN_OPEN, false, 0},
             Mask{IN_ACCESS | IN_CLOSE_NOWRITE | IN_ONLYDIR, false, IN_ONLYDIR},
             Mask{IN_CLOSE, true, IN_CLOSE_WRITE},
             Mask{IN_MODIFY | IN_ONESHOT, true, IN_MODIFY | IN_ONESHOT},
             Mask{IN_DELETE_SELF, true, IN_DELETE_SELF},
             Mask{IN_MOVE | IN_MASK_ADD, true, IN_MOVE | IN_MASK_ADD},
             Mask{IN_ALL_EVENTS, true, 0xfce},
         }) {
        EXPECT_EQ(hears_of_changes(asked), hears) << std::hex << asked;
        EXPECT_EQ(mask_of_changes(asked), given) << std::hex << asked;
    }
}

TEST(ShadowNodeTest, TellsWatchesApart) {
    for (const bool is_directory : {false, true}) {
        EXPECT_EQ(watch_of_node(shadow_node(1, is_directory)), 1U);
        EXPECT_EQ(watch_of_node(shadow_node(123456789, is_directory)), 123456789U);
    }
    EXPECT_NE(shadow_node(1, false), shadow_node(1, true));
    EXPECT_EQ(watch_of_node(1), 0U); // the root
    EXPECT_EQ(watch_of_node(~std::uint64_t{0}), 0U);
}

} // namespace
} // namespace cppvm::guest
