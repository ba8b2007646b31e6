#include "common/ttrpc/envelope.hpp"
#include "common/ttrpc/frame.hpp"
#include "tests/support/hex.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::ttrpc {

namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string payload_of(const std::string& frame) {
    return frame.substr(frame_header_size);
}

Status round_trip(Status status) {
    const std::string frame = encode_response(1, {.status = std::move(status), .payload = "gone"});
    return decode_response(payload_of(frame)).value().status;
}

TEST(EnvelopeTest, FailedResponseHasNoPayload) {
    const std::string frame =
        encode_response(1, {.status = {Code::aborted, "no"}, .payload = "payload"});
    const auto response = decode_response(payload_of(frame));
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, (Status{Code::aborted, "no"}));
    EXPECT_EQ(response->payload, "");
    EXPECT_THAT(frame, ::testing::Not(HasSubstr("payload")));
}

TEST(EnvelopeTest, StatusWithCodeZeroIsSuccess) {
    // Status {} beside the payload "x": some servers send the status always.
    const auto response = decode_response(cppvm::testing::from_hex("0a00 120178"));
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status.code, Code::ok);
    EXPECT_EQ(response->payload, "x");
}

TEST(EnvelopeTest, EveryCodeSurvives) {
    for (int code = 1; code <= 16; ++code) {
        const Status status{static_cast<Code>(code), "text"};
        EXPECT_EQ(round_trip(status), status);
    }
}

TEST(EnvelopeTest, CodesOutsideTheTableAreUnknown) {
    for (const char* code : {"0811", "08ffffffff07", "08ffffffffffffffffff01"}) {
        const std::string status = cppvm::testing::from_hex(code);
        const std::string bytes =
            std::string("\x0a").append(1, static_cast<char>(status.size())).append(status);
        const auto response = decode_response(bytes);
        ASSERT_TRUE(response);
        EXPECT_EQ(response->status.code, Code::unknown);
    }
}

TEST(EnvelopeTest, MessageBecomesValidUtf8) {
    const std::string replacement = "\xef\xbf\xbd";
    const auto text = [](std::string message) {
        return round_trip({Code::internal, std::move(message)}).message;
    };
    EXPECT_EQ(text("plain, \xc3\xa9, \xe2\x82\xac, \xf0\x9f\x98\x80"), "plain, é, €, 😀");
    EXPECT_EQ(
        text("a\xff"
             "b"),
        "a" + replacement + "b"
    );
    EXPECT_EQ(text("cut \xe2\x82"), "cut " + replacement + replacement);
    EXPECT_EQ(text("overlong \xc0\xaf"), "overlong " + replacement + replacement);
    EXPECT_EQ(text("\xe0\x80\x80"), replacement + replacement + replacement);
    EXPECT_EQ(
        text("surrogate \xed\xa0\x80"), "surrogate " + replacement + replacement + replacement
    );
    EXPECT_EQ(text("\xf4\x90\x80\x80"), replacement + replacement + replacement + replacement);
    EXPECT_EQ(text("\xf0\x80\x80\x80"), replacement + replacement + replacement + replacement);
}

TEST(EnvelopeTest, LongMessagesAreCut) {
    EXPECT_THAT(round_trip({Code::internal, std::string(1 << 20, 'x')}).message, SizeIs(16 * 1024));
}

TEST(EnvelopeTest, MetadataKeysAreReadInLowerCase) {
    Request request{.service = "s", .method = "m", .payload = {}, .metadata = {{"Name-A", "V"}}};
    const auto read = decode_request(payload_of(encode_request(1, 0, request)));
    EXPECT_EQ(read->metadata, (Metadata{{"name-a", "V"}}));
}

TEST(EnvelopeTest, NegativeTimeoutSurvives) {
    Request request{
        .service = "s", .method = "m", .payload = {}, .timeout_nano = -5, .metadata = {}
    };
    EXPECT_EQ(decode_request(payload_of(encode_request(1, 0, request)))->timeout_nano, -5);
}

TEST(EnvelopeTest, NoiseIsRefused) {
    EXPECT_FALSE(decode_request("\x0a\xff"));
    EXPECT_FALSE(decode_request("no protobuf at all"));
    EXPECT_FALSE(decode_response("\xff\xff\xff"));
}

TEST(EnvelopeTest, FramesAboveTheLimitAreNotMade) {
    const std::string large(max_payload_bytes, 'x');
    try {
        encode_request(1, 0, {.service = "s", .method = "m", .payload = large, .metadata = {}});
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::resource_exhausted);
        EXPECT_THAT(error.message(), HasSubstr("request s/m of 4194"));
    }
    EXPECT_THROW(encode_response(1, {.status = {}, .payload = large}), Error);
}

} // namespace

} // namespace cppvm::ttrpc
