#pragma once

#include "common/os/process_id.hpp"
#include "host/config/config.hpp"
#include "host/vm/leftovers.hpp"
#include "host/vm/virtual_machine.hpp"
#include "tests/support/log_capture.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm::vm {

/// A host with libvirtd and a guest image, and names for one machine. Skips, with the reason, where
/// something is missing. Checks at the end that nothing of the machine is left.
class VmFixture : public ::testing::Test {
  public:
    void SetUp() override;
    void TearDown() override;

    VmSpec spec() const;

    MachineNames names() const { return {name_, uuid_, run_dir_, run_dir_ / "share"}; }

    /// What is left of the machine on the host: processes, files; empty if nothing.
    std::vector<std::string> leftovers() const;

    /// Whether a process still is this machine's QEMU and no zombie.
    bool is_qemu(const ProcessId& process) const;

    config::Config config_;
    std::filesystem::path run_dir_;
    testing::LogCapture log_;
    std::string name_;
    std::string uuid_;
};

} // namespace cppvm::vm
