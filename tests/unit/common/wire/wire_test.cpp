#include "common/wire/preamble.hpp"
#include "common/wire/stream_frame.hpp"

#include <gtest/gtest.h>

namespace cppvm::wire {
namespace {

TEST(PreambleTest, HasTheDocumentedBytes) {
    const auto bytes = encode({ConnectionKind::stdio, 0x0102030405060708});
    const std::array<std::uint8_t, preamble_size> expected = {
        'C', 'P', 'V', 'M', 1, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8
    };
    EXPECT_EQ(bytes, expected);
    EXPECT_EQ(
        decode_preamble(bytes).value(), (Preamble{ConnectionKind::stdio, 0x0102030405060708})
    );
}

TEST(PreambleTest, RefusesEveryOtherHead) {
    for (std::size_t i = 0; i < 8; ++i) {
        auto bytes = encode({ConnectionKind::rpc, 0});
        bytes[i] ^= 0x40;
        EXPECT_TRUE(decode_preamble(bytes).has_error()) << "byte " << i;
    }
}

TEST(StreamFrameTest, RoundTripsLengthsUpToTheLimit) {
    for (const std::uint32_t length : {0U, 1U, 255U, 256U, 65535U, max_frame_payload}) {
        EXPECT_EQ(decode_frame_header(encode_frame_header(length)).value(), length);
    }
    EXPECT_TRUE(decode_frame_header(encode_frame_header(max_frame_payload + 1)).has_error());
    EXPECT_TRUE(decode_frame_header(encode_frame_header(0xffffffff)).has_error());
}

} // namespace
} // namespace cppvm::wire
