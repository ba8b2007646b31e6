#include "common/base/error.hpp"
#include "host/io/streaming/message.hpp"
#include "host/io/streaming/window.hpp"

#include <google/protobuf/any.pb.h>
#include <gtest/gtest.h>

#include <limits>

namespace cppvm::io::streaming {
namespace {

TEST(SendWindowTest, AllowsNothingBeforeAGrantAndNoMoreThanIt) {
    SendWindow window;
    EXPECT_EQ(window.fit(1), 0u);
    window.grant(10);
    EXPECT_EQ(window.fit(100), 10u);
    EXPECT_EQ(window.fit(4), 4u);
    window.sent(4);
    EXPECT_EQ(window.fit(100), 6u);
    window.grant(5);
    EXPECT_EQ(window.fit(100), 11u);
}

TEST(SendWindowTest, CutsWhatIsLargerThanOneMessage) {
    SendWindow window;
    window.grant(window_size);
    EXPECT_EQ(window.fit(window_size), max_chunk);
    window.sent(max_chunk);
    window.sent(max_chunk);
    EXPECT_EQ(window.fit(1), 0u);
}

TEST(SendWindowTest, RefusesGrantsThatTakeAway) {
    SendWindow window;
    EXPECT_THROW(window.grant(0), Error);
    EXPECT_THROW(window.grant(-1), Error);
    EXPECT_THROW(window.grant(std::numeric_limits<std::int32_t>::min()), Error);
}

TEST(SendWindowTest, TakesGrantsWithoutEnd) {
    SendWindow window;
    for (int i = 0; i < 5; ++i) {
        window.grant(std::numeric_limits<std::int32_t>::max());
    }
    EXPECT_EQ(window.fit(max_chunk + 1), max_chunk);
}

TEST(ReceiveWindowTest, GrantsAllAtFirstAndThenByHalves) {
    ReceiveWindow window;
    EXPECT_EQ(window.take_grant(), window_size);
    EXPECT_EQ(window.take_grant(), 0);
    window.receive(window_size);
    EXPECT_EQ(window.take_grant(), 0); // it lies here unread
    window.consume(window_size / 2 - 1);
    EXPECT_EQ(window.take_grant(), 0);
    window.consume(1);
    EXPECT_EQ(window.take_grant(), window_size / 2);
}

TEST(ReceiveWindowTest, RefusesMoreThanItGranted) {
    ReceiveWindow window;
    EXPECT_THROW(window.receive(1), Error);
    window.take_grant();
    window.receive(window_size - 1);
    EXPECT_THROW(window.receive(2), Error);
}

TEST(ReceiveWindowTest, CountsWhatAnEarlierConnectionLeft) {
    ReceiveWindow window(1000);
    EXPECT_EQ(window.take_grant(), window_size - 1000);
}

std::string any_of(const std::string& type, const std::string& value) {
    google::protobuf::Any any;
    any.set_type_url(type);
    any.set_value(value);
    return any.SerializeAsString();
}

TEST(MessageTest, ReadsWhatItWrites) {
    const std::string bytes = "some\0bytes";
    const auto data = decode_message(encode_data(std::as_bytes(std::span(bytes))));
    EXPECT_EQ(std::get<Data>(data).bytes, bytes);
    EXPECT_EQ(std::get<WindowUpdate>(decode_message(encode_window_update(7))).bytes, 7);
    EXPECT_EQ(
        std::get<OtherMessage>(decode_message(encode_init("a"))).type,
        "containerd.services.streaming.v1.StreamInit"
    );
}

// Protobuf's own way to name a type is with a host before it.
TEST(MessageTest, TakesTypesWithAndWithoutAHost) {
    const std::string update =
        any_of("type.googleapis.com/containerd.types.transfer.WindowUpdate", "\x08\x05");
    EXPECT_EQ(std::get<WindowUpdate>(decode_message(update)).bytes, 5);
}

TEST(MessageTest, RefusesWhatIsNotWhatItSays) {
    EXPECT_THROW(decode_message("\xff\xff"), Error);
    EXPECT_THROW(decode_message(any_of("containerd.types.transfer.Data", "\xff")), Error);
    EXPECT_THROW(decode_message(any_of("containerd.types.transfer.WindowUpdate", "\x08")), Error);
}

} // namespace
} // namespace cppvm::io::streaming
