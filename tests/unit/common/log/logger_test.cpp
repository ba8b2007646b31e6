#include "common/log/logger.hpp"

#include <gtest/gtest.h>

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

} // namespace
} // namespace cppvm
