#include "common/os/process_stat.hpp"

#include <gtest/gtest.h>

namespace cppvm {
namespace {

constexpr std::string_view stat = "12 (a ) b) S 1 -12 340\n";

TEST(StatNumberTest, CountsFieldsAfterTheName) {
    EXPECT_EQ(stat_number(stat, 4), 1U);
    EXPECT_EQ(stat_number(stat, 6), 340U);
}

TEST(StatNumberTest, IsNothingWhereThereIsNoUnsignedNumber) {
    EXPECT_EQ(stat_number(stat, 3), std::nullopt) << "the state, a letter";
    EXPECT_EQ(stat_number(stat, 5), std::nullopt) << "a negative number";
    EXPECT_EQ(stat_number(stat, 7), std::nullopt) << "behind the end";
    EXPECT_EQ(stat_number("", 4), std::nullopt);
    EXPECT_EQ(stat_number("12 (a", 4), std::nullopt);
}

} // namespace
} // namespace cppvm
