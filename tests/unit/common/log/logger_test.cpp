#include "common/log/logger.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace cppvm {
namespace {

struct CapturingSink : LogSink {
    void write(std::string_view line) noexcept override { lines.append(line); }
    std::string lines;
};

class LoggerTest : public ::testing::Test {
  protected:
    std::string after_time() const { return sink_->lines.substr(sink_->lines.find("level=")); }

    std::shared_ptr<CapturingSink> sink_ = std::make_shared<CapturingSink>();
    Logger logger_{sink_, LogLevel::info};
};

TEST_F(LoggerTest, WritesOneLogfmtLine) {
    logger_.with({{"sandbox", "ab12"}}).info("VM started", {{"boot_ms", 212}, {"kvm", true}});
    EXPECT_EQ(after_time(), "level=info msg=\"VM started\" sandbox=ab12 boot_ms=212 kvm=true\n");
    EXPECT_EQ(sink_->lines.find("time=\"20"), 0U);
}

TEST_F(LoggerTest, KeepsUntrustedTextInsideItsValue) {
    logger_.warn("Guest", {{"text", "a\" level=error\nx\x01 \\"}, {"empty", ""}});
    EXPECT_EQ(
        after_time(),
        "level=warning msg=\"Guest\" text=\"a\\\" level=error\\nx\\x01 \\\\\" empty=\"\"\n"
    );
}

TEST_F(LoggerTest, TakesNoTextForAFormat) {
    logger_.info("{} {0:>9999999} %s", {{"text", "{} %n"}});
    EXPECT_EQ(after_time(), "level=info msg=\"{} {0:>9999999} %s\" text=\"{} %n\"\n");
}

TEST_F(LoggerTest, CutsLongValues) {
    logger_.info("x", {{"long", std::string(5000, 'a')}});
    EXPECT_LT(sink_->lines.size(), 1200U);
    EXPECT_EQ(sink_->lines.back(), '\n');
}

TEST_F(LoggerTest, DropsLinesBelowItsLevel) {
    logger_.debug("x");
    Logger().error("nowhere");
    EXPECT_EQ(sink_->lines, "");
}

TEST_F(LoggerTest, NamesEveryLevelAsContainerdDoes) {
    const Logger all(sink_, LogLevel::trace);
    all.trace("x");
    all.debug("x");
    all.info("x");
    all.warn("x");
    all.error("x");
    std::string levels;
    for (std::size_t at = 0; (at = sink_->lines.find("level=", at)) != std::string::npos; ++at) {
        levels += sink_->lines.substr(at + 6, sink_->lines.find(' ', at) - at - 5);
    }
    EXPECT_EQ(levels, "trace debug info warning error ");
    const Logger none(sink_, LogLevel::off);
    none.error("x");
    EXPECT_EQ(std::ranges::count(sink_->lines, '\n'), 5);
}

// spdlog itself would take any unknown level for "off".
TEST(LogLevelTest, IsNotGuessed) {
    EXPECT_EQ(parse_log_level("warning"), LogLevel::warn);
    EXPECT_EQ(parse_log_level("off"), LogLevel::off);
    EXPECT_EQ(parse_log_level("loud"), std::nullopt);
    EXPECT_EQ(parse_log_level(""), std::nullopt);
}

} // namespace
} // namespace cppvm
