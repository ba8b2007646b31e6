#pragma once

#include "common/log/logger.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace cppvm::ttrpc::testing {

/// Keeps log lines.
class CapturingSink : public LogSink {
  public:
    void write(std::string_view line) noexcept override {
        lines.emplace_back(line);
        if (on_line) {
            on_line();
        }
    }

    std::size_t count(std::string_view text) const {
        std::size_t found = 0;
        for (const auto& line : lines) {
            found += line.find(text) != std::string::npos ? 1 : 0;
        }
        return found;
    }

    std::vector<std::string> lines;
    std::function<void()> on_line;
};

} // namespace cppvm::ttrpc::testing
