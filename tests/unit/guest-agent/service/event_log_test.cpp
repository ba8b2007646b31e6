#include "guest-agent/service/event_log.hpp"

#include <gtest/gtest.h>

namespace cppvm::guest {
namespace {

agent::v2::Event exited(std::uint64_t process) {
    agent::v2::Event event;
    event.mutable_exited()->set_process_number(process);
    return event;
}

class EventLogTest : public ::testing::Test {
  protected:
    std::uint64_t process_after(std::uint64_t sequence) const {
        const auto event = log.after(sequence);
        return event ? event->exited().process_number() : 0;
    }

    EventLog log;
};

TEST_F(EventLogTest, NumbersEventsAndTellsThemAgain) {
    EXPECT_FALSE(log.after(0));
    log.append(exited(11));
    log.append(exited(12));
    EXPECT_EQ(log.after(0)->sequence(), 1U);
    EXPECT_EQ(process_after(0), 11U);
    EXPECT_EQ(process_after(1), 12U);
    EXPECT_FALSE(log.after(2));
    EXPECT_EQ(process_after(0), 11U);
}

TEST_F(EventLogTest, ForgetsWhatIsConfirmed) {
    for (std::uint64_t process = 11; process < 15; ++process) {
        log.append(exited(process));
    }
    log.confirm(2);
    EXPECT_EQ(log.size(), 2U);
    EXPECT_EQ(process_after(2), 13U);
    EXPECT_EQ(process_after(0), 13U) << "what is forgotten cannot be told";
    log.confirm(1);
    EXPECT_EQ(log.size(), 2U);
    log.confirm(~std::uint64_t{0});
    EXPECT_EQ(log.size(), 0U);
    EXPECT_FALSE(log.after(0));
    log.append(exited(15));
    EXPECT_EQ(log.after(4)->sequence(), 5U);
}

} // namespace
} // namespace cppvm::guest
