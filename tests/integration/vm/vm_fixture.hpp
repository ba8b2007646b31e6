#pragma once

#include "common/log/logger.hpp"
#include "host/config/config.hpp"
#include "host/vm/virtual_machine.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace cppvm::vm {

/// Keeps the lines of a log, for failures to show and tests to look at.
class LogCapture : public LogSink {
  public:
    void write(std::string_view line) noexcept override { lines_.append(line); }
    const std::string& lines() const noexcept { return lines_; }

  private:
    std::string lines_;
};

/// A host with libvirtd and a guest image, and names for one machine. Skips, with the reason, where
/// something is missing. Checks at the end that nothing of the machine is left.
class VmFixture : public ::testing::Test {
  public:
    void SetUp() override;
    void TearDown() override;

    VmSpec spec() const;

    /// What is left of the machine on the host: processes, files; empty if nothing.
    std::vector<std::string> leftovers() const;

    config::Config config_;
    std::filesystem::path run_dir_;
    std::shared_ptr<LogCapture> log_ = std::make_shared<LogCapture>();
    Logger logger_{log_, LogLevel::debug};
    std::string name_;
    std::string uuid_;
};

} // namespace cppvm::vm
