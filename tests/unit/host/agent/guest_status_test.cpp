#include "host/agent/guest_status.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace cppvm::agent {
namespace {

// Each of these has a meaning to the host that only the host itself may give it.
TEST(GuestStatusTest, IsNeverTakenForWhatTheHostFoundOut) {
    const std::set<Code> reserved = {
        Code::cancelled,
        Code::deadline_exceeded,
        Code::unavailable,
        Code::not_found,
        Code::already_exists,
    };
    for (int number = 1; number <= 16; ++number) {
        const auto code = static_cast<Code>(number);
        const Status mapped = from_guest({code, "words"});
        EXPECT_FALSE(reserved.contains(mapped.code)) << number;
        EXPECT_NE(mapped.code, Code::ok) << number;
        EXPECT_EQ(mapped.message, "words");
        if (!reserved.contains(code)) {
            EXPECT_EQ(mapped.code, code);
        }
    }
}

TEST(GuestStatusTest, IsOnePrintableLineOfLimitedLength) {
    const Status mapped = from_guest({Code::internal, "a\nb\x1b[2J\x7f" + std::string(9000, 'x')});
    EXPECT_TRUE(mapped.message.starts_with("a?b?[2J?x"));
    EXPECT_EQ(mapped.message.size(), 2048U);
}

} // namespace
} // namespace cppvm::agent
