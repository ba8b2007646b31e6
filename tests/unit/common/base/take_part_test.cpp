#include "common/base/take_part.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cppvm {
namespace {

std::vector<std::string> parts_of(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        parts.emplace_back(take_part(text, ','));
    }
    return parts;
}

TEST(TakePartTest, EndsEachPartBeforeASeparator) {
    using Parts = std::vector<std::string>;
    EXPECT_EQ(parts_of(""), Parts());
    EXPECT_EQ(parts_of("a"), Parts({"a"}));
    EXPECT_EQ(parts_of("a,b"), Parts({"a", "b"}));
    EXPECT_EQ(parts_of("a,b,"), Parts({"a", "b"}));
    EXPECT_EQ(parts_of(",a,,b"), Parts({"", "a", "", "b"}));
}

TEST(TakeWordTest, PassesOverBlanks) {
    std::string_view text = "  one\ttwo \r";
    EXPECT_EQ(take_word(text), "one");
    EXPECT_EQ(take_word(text), "two");
    EXPECT_EQ(take_word(text), "");
    EXPECT_EQ(text, "");
}

} // namespace
} // namespace cppvm
