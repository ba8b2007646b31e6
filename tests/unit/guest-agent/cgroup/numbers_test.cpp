#include "guest-agent/cgroup/numbers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

namespace cppvm::guest {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr std::uint64_t unlimited = ~std::uint64_t{0};

TEST(NumbersTest, ReadsNumbersAndMax) {
    EXPECT_EQ(parse_number("123\n"), 123U);
    EXPECT_EQ(parse_number("0"), 0U);
    EXPECT_EQ(parse_number("max\n"), unlimited);
    EXPECT_EQ(parse_number("18446744073709551615"), unlimited);
    for (const char* text : {"", "\n", "-1", "1 2", "0x1", "maximum", "18446744073709551616"}) {
        EXPECT_EQ(parse_number(text), std::nullopt) << text;
    }
}

TEST(NumbersTest, FindsAValueByItsWholeName) {
    const std::string text = "oom 1\noom_kill 7\n";
    EXPECT_EQ(value_of(text, "oom_kill"), 7U);
    EXPECT_EQ(value_of(text, "oom"), 1U);
    EXPECT_EQ(value_of(text, "oo"), 0U);
    EXPECT_EQ(value_of("oom_kill\n", "oom_kill"), 0U);
}

TEST(NumbersTest, ReadsFlatKeyedFiles) {
    std::map<std::string, std::uint64_t> values;
    add_flat_keyed("anon 1\nfile 22\nodd\n", "memory.stat", values);
    EXPECT_THAT(values, ElementsAre(Pair("memory.stat.anon", 1), Pair("memory.stat.file", 22)));
}

TEST(NumbersTest, ReadsNumbersOfDevices) {
    const auto devices = parse_device_numbers("253:0 rbytes=10 wbytes=20\nodd line\n8:16 \n");
    ASSERT_EQ(devices.size(), 2U);
    EXPECT_EQ(devices[0].major, 253U);
    EXPECT_THAT(devices[0].values, ElementsAre(Pair("rbytes", 10), Pair("wbytes", 20)));
    EXPECT_EQ(devices[1].minor, 16U);
    EXPECT_THAT(devices[1].values, IsEmpty());
}

} // namespace
} // namespace cppvm::guest
