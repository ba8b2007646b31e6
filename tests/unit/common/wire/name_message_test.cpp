#include "common/wire/name_message.hpp"

#include <gtest/gtest.h>

namespace cppvm::wire {
namespace {

TEST(NameMessageTest, HasTheDocumentedBytes) {
    const NameMessage message{0x01020304, true, "question"};
    const std::string payload = encode(message);
    EXPECT_EQ(payload, "\x01\x02\x03\x04\x01question");
    EXPECT_EQ(decode_name_message(payload).value(), message);
}

TEST(NameMessageTest, RefusesWhatIsNone) {
    EXPECT_TRUE(decode_name_message("").has_error());
    EXPECT_TRUE(decode_name_message("\x01\x02\x03\x04").has_error());
    EXPECT_TRUE(decode_name_message("\x01\x02\x03\x04\x02question").has_error());
    const std::string head = encode(NameMessage{1, false, ""});
    EXPECT_FALSE(decode_name_message(head + std::string(max_name_message, 'x')).has_error());
    EXPECT_TRUE(decode_name_message(head + std::string(max_name_message + 1, 'x')).has_error());
}

} // namespace
} // namespace cppvm::wire
