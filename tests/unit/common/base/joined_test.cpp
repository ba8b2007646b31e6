#include "common/base/joined.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

namespace cppvm {
namespace {

TEST(JoinedTest, PutsTheSeparatorBetweenTwo) {
    EXPECT_EQ(joined(std::vector<std::string>{}, ","), "");
    EXPECT_EQ(joined(std::vector<std::string>{"one"}, ","), "one");
    EXPECT_EQ(joined(std::vector<std::string>{"one", "two", "three"}, ", "), "one, two, three");
    EXPECT_EQ(joined(std::vector<std::filesystem::path>{"/a", "b"}, ","), "/a,b");
}

} // namespace
} // namespace cppvm
