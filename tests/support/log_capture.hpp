#pragma once

#include "common/log/logger.hpp"

#include <memory>
#include <string>

namespace cppvm::testing {

/// Keeps what is logged, for tests that look for a line.
class LogCapture {
  public:
    Logger logger() const { return {sink_, LogLevel::debug}; }
    const std::string& text() const noexcept { return sink_->text; }
    bool has(std::string_view part) const { return sink_->text.find(part) != std::string::npos; }

  private:
    struct Sink : LogSink {
        std::string text;
        void write(std::string_view line) noexcept override { text.append(line); }
    };
    std::shared_ptr<Sink> sink_ = std::make_shared<Sink>();
};

} // namespace cppvm::testing
