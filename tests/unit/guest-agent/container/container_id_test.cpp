#include "guest-agent/container/containers.hpp"

#include <gtest/gtest.h>

namespace cppvm::guest {
namespace {

TEST(ContainerIdTest, TakesWhatContainerdUses) {
    EXPECT_TRUE(is_valid_id("a"));
    EXPECT_TRUE(is_valid_id("My_container-1.2"));
    EXPECT_TRUE(is_valid_id(std::string(128, 'a')));
}

TEST(ContainerIdTest, RefusesWhatIsNoPlainFileName) {
    for (const char* id : {"", ".", "..", ".a", "a/b", "/", "a b", "a\nb", "ä"}) {
        EXPECT_FALSE(is_valid_id(id)) << id;
    }
    EXPECT_FALSE(is_valid_id(std::string(129, 'a')));
    EXPECT_FALSE(is_valid_id(std::string_view("a\0b", 3)));
}

TEST(ExitStatusTest, MapsSignalsAsShellsDo) {
    EXPECT_EQ(exit_status(0), 0U);
    EXPECT_EQ(exit_status(255 << 8), 255U);
    EXPECT_EQ(exit_status(9), 137U);
    EXPECT_EQ(exit_status(11 | 0x80), 139U); // with a core dump
}

} // namespace
} // namespace cppvm::guest
