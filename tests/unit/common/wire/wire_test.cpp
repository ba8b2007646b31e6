#include "common/wire/ports.hpp"
#include "common/wire/preamble.hpp"
#include "common/wire/stream_frame.hpp"

#include <gtest/gtest.h>

namespace cppvm::wire {
namespace {

TEST(PreambleTest, HasTheDocumentedBytes) {
    const Preamble preamble{ConnectionKind::resume, 0x0102030405060708, 0x090a0b0c0d0e0f10};
    const auto bytes = encode(preamble);
    const std::array<std::uint8_t, preamble_size> expected = {
        'C', 'P', 'V', 'M', protocol_version, 3, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
        13,  14,  15,  16
    };
    EXPECT_EQ(bytes, expected);
    EXPECT_EQ(decode_preamble(bytes).value(), preamble);
}

TEST(PreambleTest, RefusesEveryOtherHead) {
    for (std::size_t i = 0; i < 8; ++i) {
        auto bytes = encode(Preamble{ConnectionKind::rpc, 0, 0});
        bytes[i] ^= 0x40;
        EXPECT_TRUE(decode_preamble(bytes).has_error()) << "byte " << i;
    }
}

TEST(PreambleTest, KnowsAnotherVersionFromNonsense) {
    namespace errc = boost::system::errc;
    auto bytes = encode(Preamble{ConnectionKind::rpc, 0, 0});
    bytes[4] = protocol_version + 1;
    EXPECT_EQ(decode_preamble(bytes).error(), errc::protocol_not_supported);
    bytes[0] = 'X';
    EXPECT_EQ(decode_preamble(bytes).error(), errc::bad_message);
}

TEST(PreambleAnswerTest, HasTheDocumentedBytes) {
    const auto bytes = encode(PreambleAnswer{true, 0x0102030405060708});
    const std::array<std::uint8_t, preamble_answer_size> expected = {6, 1, 2, 3, 4, 5, 6, 7, 8};
    EXPECT_EQ(bytes, expected);
    EXPECT_EQ(decode_preamble_answer(bytes), (PreambleAnswer{true, 0x0102030405060708}));
    EXPECT_EQ(encode(PreambleAnswer{false, 0})[0], 0x15);
}

TEST(PreambleAnswerTest, EverythingElseIsARefusal) {
    for (unsigned byte = 0; byte < 256; ++byte) {
        std::array<std::uint8_t, preamble_answer_size> bytes{};
        bytes[0] = static_cast<std::uint8_t>(byte);
        EXPECT_EQ(decode_preamble_answer(bytes).accepted, byte == accepted);
    }
}

TEST(StreamFrameTest, RoundTripsLengthsUpToTheLimit) {
    for (const std::uint32_t length : {0U, 1U, 255U, 256U, 65535U, max_frame_payload}) {
        EXPECT_EQ(decode_frame_header(encode_frame_header(length)).value(), length);
    }
    EXPECT_TRUE(decode_frame_header(encode_frame_header(max_frame_payload + 1)).has_error());
    EXPECT_TRUE(decode_frame_header(encode_frame_header(0xffffffff)).has_error());
}

TEST(StreamFrameTest, RoundTripsConfirmations) {
    for (const std::uint64_t received :
         {std::uint64_t{0}, std::uint64_t{1} << 40, stream_refused}) {
        EXPECT_EQ(decode_confirmation(encode_confirmation(received)), received);
    }
    EXPECT_EQ(encode_confirmation(0x0102030405060708)[0], 1) << "big endian";
}

} // namespace
} // namespace cppvm::wire
