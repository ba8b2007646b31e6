#include "common/ttrpc/frame.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace cppvm::ttrpc {

namespace {

std::vector<Frame> decode_all(FrameDecoder& decoder, std::string_view bytes) {
    std::vector<Frame> frames;
    while (auto frame = decoder.next(bytes)) {
        frames.push_back(std::move(*frame));
    }
    EXPECT_TRUE(bytes.empty());
    return frames;
}

/// A header that announces more than is allowed.
std::string oversized_header(std::uint32_t length) {
    const auto header = encode_header({.length = length, .stream = 7});
    return {header.data(), header.size()};
}

TEST(FrameTest, HeaderIsTenBytesBigEndian) {
    const auto bytes = encode_header(
        {.length = 0x01020304, .stream = 0x05060708, .type = FrameType::data, .flags = 0x85}
    );
    EXPECT_EQ(
        std::string_view(bytes.data(), bytes.size()),
        std::string_view("\x01\x02\x03\x04\x05\x06\x07\x08\x03\x85", 10)
    );
    EXPECT_EQ(
        decode_header(bytes),
        (FrameHeader{
            .length = 0x01020304, .stream = 0x05060708, .type = FrameType::data, .flags = 0x85
        })
    );
}

TEST(FrameTest, FramesComeOutWhereverTheBytesAreSplit) {
    const std::string bytes = encode_frame(1, FrameType::request, 0, "first") +
                              encode_frame(3, FrameType::data, flag_no_data, "") +
                              encode_frame(5, FrameType::response, 0, "third");
    for (std::size_t first = 0; first <= bytes.size(); ++first) {
        for (std::size_t second = first; second <= bytes.size(); ++second) {
            FrameDecoder decoder;
            std::vector<Frame> frames;
            const std::string_view whole = bytes;
            for (const auto part :
                 {whole.substr(0, first), whole.substr(first, second - first), whole.substr(second)
                 }) {
                for (auto& frame : decode_all(decoder, part)) {
                    frames.push_back(std::move(frame));
                }
            }
            ASSERT_EQ(frames.size(), 3U) << first << " " << second;
            EXPECT_EQ(frames[0].payload, "first");
            EXPECT_EQ(frames[1].header, (FrameHeader{0, 3, FrameType::data, flag_no_data}));
            EXPECT_EQ(frames[2].payload, "third");
            EXPECT_TRUE(decoder.at_boundary());
        }
    }
}

TEST(FrameTest, UnfinishedFrameIsNotAtABoundary) {
    FrameDecoder decoder;
    EXPECT_TRUE(decoder.at_boundary());
    const std::string bytes = encode_frame(1, FrameType::request, 0, "x");
    EXPECT_TRUE(decode_all(decoder, bytes.substr(0, 4)).empty());
    EXPECT_FALSE(decoder.at_boundary());
    EXPECT_EQ(decode_all(decoder, bytes.substr(4)).size(), 1U);
    EXPECT_TRUE(decoder.at_boundary());
}

TEST(FrameTest, OversizedPayloadIsDroppedAndTheNextFrameIsFound) {
    FrameDecoder decoder;
    const std::uint32_t length = max_payload_bytes + 1;
    EXPECT_TRUE(decode_all(decoder, oversized_header(length)).empty());
    const std::string chunk(64UL * 1024, 'x');
    std::size_t left = length;
    std::vector<Frame> frames;
    while (left > 0) {
        const std::size_t size = std::min(left, chunk.size());
        for (auto& frame : decode_all(decoder, std::string_view(chunk).substr(0, size))) {
            frames.push_back(std::move(frame));
        }
        left -= size;
        EXPECT_EQ(frames.size(), left == 0 ? 1U : 0U);
    }
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_TRUE(frames[0].oversized());
    EXPECT_EQ(frames[0].header.length, length);
    EXPECT_EQ(frames[0].header.stream, 7U);
    EXPECT_EQ(frames[0].payload.capacity(), std::string().capacity());

    const auto next = decode_all(decoder, encode_frame(9, FrameType::request, 0, "after"));
    ASSERT_EQ(next.size(), 1U);
    EXPECT_EQ(next[0].payload, "after");
    EXPECT_FALSE(next[0].oversized());
}

TEST(FrameTest, LargestPayloadIsNotOversized) {
    FrameDecoder decoder;
    const std::string payload(max_payload_bytes, 'x');
    const auto frames = decode_all(decoder, encode_frame(1, FrameType::request, 0, payload));
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_FALSE(frames[0].oversized());
    EXPECT_EQ(frames[0].payload, payload);
}

TEST(FrameTest, UnknownTypesKeepTheirNumber) {
    FrameDecoder decoder;
    const auto frames =
        decode_all(decoder, encode_frame(1, static_cast<FrameType>(200), 0xff, "?"));
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(static_cast<int>(frames[0].header.type), 200);
    EXPECT_EQ(frames[0].header.flags, 0xff);
}

} // namespace

} // namespace cppvm::ttrpc
