#include "common/stream/sent_bytes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace cppvm::stream {
namespace {

void append(SentBytes& bytes, std::string_view text) {
    while (!text.empty()) {
        const auto room = bytes.room();
        ASSERT_FALSE(room.empty());
        const std::size_t size = std::min(room.size(), text.size());
        std::copy_n(reinterpret_cast<const std::byte*>(text.data()), size, room.begin());
        bytes.commit(size);
        text.remove_prefix(size);
    }
}

std::string all_from(const SentBytes& bytes, std::uint64_t begin) {
    std::string text;
    for (;;) {
        const auto piece = bytes.from(begin + text.size(), 3);
        if (piece.empty()) {
            return text;
        }
        text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    }
}

TEST(SentBytesTest, GivesWhatIsNotConfirmed) {
    SentBytes bytes(8);
    append(bytes, "abcdef");
    EXPECT_EQ(all_from(bytes, 0), "abcdef");
    EXPECT_TRUE(bytes.confirm(4));
    EXPECT_EQ(all_from(bytes, 4), "ef");
    append(bytes, "ghijkl"); // round the ring
    EXPECT_EQ(all_from(bytes, 4), "efghijkl");
    EXPECT_EQ(all_from(bytes, 11), "l");
    EXPECT_EQ(bytes.end(), 12U);
    EXPECT_TRUE(bytes.room().empty());
}

TEST(SentBytesTest, GoesRoundForEver) {
    SentBytes bytes(7);
    std::string sent;
    std::uint64_t confirmed = 0;
    for (int i = 0; i < 1000; ++i) {
        const std::string piece(static_cast<std::size_t>(i % 7), static_cast<char>('a' + i % 26));
        sent += piece;
        append(bytes, piece);
        ASSERT_EQ(all_from(bytes, confirmed), sent.substr(confirmed));
        // All but the last byte, if there is room for the next piece then.
        const bool all = piece.empty() || i % 2 == 0;
        confirmed = sent.size() - (all ? 0 : 1);
        ASSERT_TRUE(bytes.confirm(confirmed));
    }
}

TEST(SentBytesTest, RefusesPositionsThatItDoesNotHold) {
    SentBytes bytes(8);
    EXPECT_TRUE(bytes.confirm(0));
    EXPECT_FALSE(bytes.confirm(1));
    append(bytes, "abcd");
    EXPECT_TRUE(bytes.confirm(2));
    EXPECT_FALSE(bytes.confirm(1));
    EXPECT_FALSE(bytes.confirm(5));
    EXPECT_FALSE(bytes.confirm(~std::uint64_t{0}));
    EXPECT_EQ(bytes.confirmed(), 2U);
    EXPECT_TRUE(bytes.confirm(4));
}

TEST(SentBytesTest, GivesItsMemoryBackOnlyWhenItHoldsNothing) {
    SentBytes bytes(8);
    EXPECT_FALSE(bytes.has_memory());
    append(bytes, "abc");
    EXPECT_TRUE(bytes.confirm(2));
    bytes.trim();
    EXPECT_EQ(all_from(bytes, 2), "c");
    EXPECT_TRUE(bytes.confirm(3));
    bytes.trim();
    EXPECT_FALSE(bytes.has_memory());
    append(bytes, "defghijk");
    EXPECT_EQ(all_from(bytes, 3), "defghijk");
}

// Else a frame would be cut where the ring ends.
TEST(SentBytesTest, HasAllItsRoomInOnePieceWhenItHoldsNothing) {
    SentBytes bytes(8);
    append(bytes, "abcde");
    EXPECT_EQ(bytes.room().size(), 3U);
    EXPECT_TRUE(bytes.confirm(5));
    EXPECT_EQ(bytes.room().size(), 8U);
}

// Somebody may be reading into the room when all the rest is confirmed.
TEST(SentBytesTest, KeepsTheRoomThatItHasLent) {
    SentBytes bytes(8);
    append(bytes, "ab");
    const auto room = bytes.room();
    EXPECT_TRUE(bytes.confirm(2));
    std::fill(room.begin(), room.end(), std::byte{'x'});
    bytes.commit(3);
    EXPECT_EQ(all_from(bytes, 2), "xxx");
}

} // namespace
} // namespace cppvm::stream
