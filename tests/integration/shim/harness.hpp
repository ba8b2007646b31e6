#pragma once

#include "common/base/unique_fd.hpp"
#include "common/os/process_id.hpp"
#include "host/rundir/identity.hpp"
#include "host/shim/shim_socket.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace cppvm::testing {

/// What a run of the shim gave.
struct Outcome {
    int exit_code = -1;
    std::string output; ///< stdout, or with stderr in it, as containerd reads `start`
    std::string errors; ///< stderr, if kept apart
    std::chrono::milliseconds duration{};
};

struct ShimRun {
    std::vector<std::string> arguments = {};
    std::string input = {};
    std::filesystem::path directory = "/";
    std::vector<std::string> environment = {};
    bool combine = true; ///< stdout and stderr are one pipe
};

/// Runs the shim until it ends and its output is closed by everybody, at most 20 s.
Outcome run_shim(const ShimRun& run);

/// True as soon as `condition` is; false if it is not for 10 s.
bool wait_until(const std::function<bool()>& condition);

/// Starts and deletes containers of a containerd that is not there, in directories of its own and a
/// mount namespace of its own. Its end kills daemons that are left and fails the test for them.
class ShimTest : public ::testing::Test {
  protected:
    ShimTest();
    ~ShimTest() override;

    /// A bundle with this config.json (none if empty) and a log fifo.
    std::filesystem::path
    make_bundle(const std::string& id, const std::string& config = R"({"process": {}})") const;
    static std::string pod_config(const std::string& type, const std::string& sandbox);
    static std::string group_config(const std::string& group);

    /// What containerd before 2.3 writes to stdin: options that name the test's own configuration.
    std::string legacy_input() const { return legacy_input(dir_ / "config.toml"); }
    static std::string legacy_input(const std::filesystem::path& config);
    /// What later ones write; with `other_options`, the name of a type, also options of that type.
    std::string params_input(const std::string& id, const std::string& other_options = "") const;

    ShimRun start_run(const std::string& id, const std::string& input) const;
    Outcome start(const std::string& id) const;
    Outcome remove(const std::string& id) const;

    Identity identity(const std::string& id) const { return {address(), "ns", id}; }
    std::string address() const { return (dir_ / "containerd.sock").native(); }
    std::filesystem::path bundle(const std::string& id) const { return dir_ / "bundles" / id; }
    std::filesystem::path run_dir(const std::string& id) const {
        return identity(id).run_dir(dir_ / "run");
    }
    std::filesystem::path socket(const std::string& id) const {
        return identity(id).socket_path(socket_dir_);
    }
    std::string socket_address(const std::string& id) const {
        return shim::socket_address(socket(id));
    }

    /// The daemon of a sandbox by its pid file.
    std::optional<ProcessId> daemon(const std::string& id) const;
    /// What the fake daemon wrote down; waits for it.
    std::string report(const std::string& id) const;
    /// Daemons of this test that run, by their command lines.
    std::vector<ProcessId> daemons() const;
    void kill_daemon(const std::string& id) const;

    /// Fails the test if a sandbox has a daemon, a socket or a run directory.
    void expect_nothing_left(const std::string& id) const;
    /// The names in a bundle, sorted.
    std::vector<std::string> bundle_files(const std::string& id) const;

    testing::TempDir dir_;
    std::filesystem::path socket_dir_ = shim::default_socket_dir;
};

} // namespace cppvm::testing
