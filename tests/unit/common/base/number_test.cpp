#include "common/base/number.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace cppvm {
namespace {

TEST(NumberTest, IsTheWholeText) {
    EXPECT_EQ(to_number<int>("0"), 0);
    EXPECT_EQ(to_number<int>("-12"), -12);
    EXPECT_EQ(to_number<unsigned>("0012"), 12U);
    EXPECT_EQ(to_number<unsigned>("fF", 16), 255U);
    for (const char* text : {"", " 1", "1 ", "+1", "1x", "x", "-", "--1", "1.0", "1\n"}) {
        EXPECT_EQ(to_number<int>(text), std::nullopt) << '"' << text << '"';
    }
    EXPECT_EQ(to_number<unsigned>("0x10", 16), std::nullopt);
    EXPECT_EQ(to_number<unsigned>("-1"), std::nullopt);
    EXPECT_EQ(to_number<int>(std::string_view("1\0", 2)), std::nullopt);
}

TEST(NumberTest, FitsItsType) {
    EXPECT_EQ(to_number<std::uint16_t>("65535"), 65535);
    EXPECT_EQ(to_number<std::uint16_t>("65536"), std::nullopt);
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    EXPECT_EQ(to_number<std::uint64_t>("18446744073709551615"), most);
    EXPECT_EQ(to_number<std::uint64_t>("18446744073709551616"), std::nullopt);
    EXPECT_EQ(to_number<std::int64_t>("-9223372036854775809"), std::nullopt);
}

TEST(NumberTest, IsTakenFromTheBeginning) {
    std::string_view text = "12:34";
    EXPECT_EQ(take_number<int>(text), 12);
    EXPECT_EQ(text, ":34");
    EXPECT_EQ(take_number<int>(text), std::nullopt);
    EXPECT_EQ(text, ":34");
    text = "70000 is too large";
    EXPECT_EQ(take_number<std::uint16_t>(text), std::nullopt);
    EXPECT_EQ(text, "70000 is too large");
    text = {};
    EXPECT_EQ(take_number<int>(text), std::nullopt);
}

TEST(NumberTest, IsALineOfAFile) {
    EXPECT_EQ(line_to_number<int>("5\n"), 5);
    EXPECT_EQ(line_to_number<int>("5"), 5);
    EXPECT_EQ(line_to_number<int>("5\n\n"), std::nullopt);
    EXPECT_EQ(line_to_number<int>("\n"), std::nullopt);
}

} // namespace
} // namespace cppvm
