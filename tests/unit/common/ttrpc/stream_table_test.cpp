#include "common/ttrpc/stream_table.hpp"

#include <gtest/gtest.h>

namespace cppvm::ttrpc {

namespace {

class RecordingReceiver : public Receiver {
  public:
    explicit RecordingReceiver(bool more = true) : more_(more) {}

    bool on_frame(Frame frame) override {
        payloads += frame.payload;
        return more_;
    }
    void on_failure(const Error& error) override { failure = error.message(); }

    std::string payloads;
    std::string failure;

  private:
    bool more_;
};

Frame frame_for(std::uint32_t stream, std::string payload = "x") {
    return {.header = {.length = 1, .stream = stream}, .payload = std::move(payload)};
}

using Delivery = StreamTable::Delivery;

TEST(StreamTableTest, HandsOutOddRisingIds) {
    StreamTable table;
    RecordingReceiver receiver;
    EXPECT_EQ(table.open(receiver), 1U);
    EXPECT_EQ(table.open(receiver), 3U);
    EXPECT_EQ(table.open(receiver), 5U);
}

TEST(StreamTableTest, RunsOutOfIdsInsteadOfReusingThem) {
    StreamTable table;
    RecordingReceiver receiver;
    EXPECT_TRUE(table.accept(0xfffffffdU));
    EXPECT_EQ(table.open(receiver), 0xffffffffU);
    EXPECT_EQ(table.open(receiver), std::nullopt);
    EXPECT_EQ(table.size(), 1U);
}

TEST(StreamTableTest, AcceptsOnlyOddRisingIds) {
    StreamTable table;
    EXPECT_FALSE(table.accept(0));
    EXPECT_FALSE(table.accept(2));
    EXPECT_TRUE(table.accept(1));
    EXPECT_FALSE(table.accept(1));
    EXPECT_TRUE(table.accept(7));
    EXPECT_FALSE(table.accept(3));
    EXPECT_FALSE(table.accept(8));
    EXPECT_TRUE(table.accept(0xffffffffU));
    EXPECT_FALSE(table.accept(0xffffffffU));
}

TEST(StreamTableTest, DeliversByStream) {
    StreamTable table;
    RecordingReceiver one;
    RecordingReceiver three;
    table.open(one);
    table.open(three);
    EXPECT_EQ(table.deliver(frame_for(3, "c")), Delivery::delivered);
    EXPECT_EQ(table.deliver(frame_for(1, "a")), Delivery::delivered);
    EXPECT_EQ(one.payloads, "a");
    EXPECT_EQ(three.payloads, "c");
}

TEST(StreamTableTest, ForgetsAFinishedStream) {
    StreamTable table;
    RecordingReceiver once(false);
    table.open(once);
    EXPECT_EQ(table.deliver(frame_for(1)), Delivery::delivered);
    EXPECT_EQ(table.deliver(frame_for(1)), Delivery::abandoned);
    EXPECT_EQ(once.payloads, "x");
    EXPECT_EQ(table.size(), 0U);
}

TEST(StreamTableTest, IgnoresReplyToAbandonedCall) {
    StreamTable table;
    RecordingReceiver receiver;
    table.open(receiver);
    table.remove(1);
    EXPECT_EQ(table.deliver(frame_for(1)), Delivery::abandoned);
    EXPECT_EQ(receiver.payloads, "");
}

TEST(StreamTableTest, TellsReplyToNoCallApart) {
    StreamTable table;
    RecordingReceiver receiver;
    table.open(receiver);
    EXPECT_EQ(table.deliver(frame_for(3)), Delivery::unknown);
    EXPECT_EQ(table.deliver(frame_for(0)), Delivery::unknown);
    EXPECT_EQ(table.deliver(frame_for(2)), Delivery::unknown);
}

TEST(StreamTableTest, FailsEveryStreamOnce) {
    StreamTable table;
    RecordingReceiver one;
    RecordingReceiver three;
    table.open(one);
    table.open(three);
    table.fail_all(Error(Code::unavailable, "gone"));
    EXPECT_EQ(one.failure, "gone");
    EXPECT_EQ(three.failure, "gone");
    EXPECT_EQ(table.size(), 0U);
}

} // namespace

} // namespace cppvm::ttrpc
