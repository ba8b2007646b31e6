#pragma once

#include "common/os/child_process.hpp"
#include "host/network/namespace_spec.hpp"

#include <filesystem>

namespace cppvm {

/// Plain data.
struct StandInSpec {
    std::filesystem::path program; ///< cppvm-standin
    network::NamespaceSpec network;
};

/// The host process whose pid containerd is told for one process in the guest. It sits in the
/// container's network namespace, so that /proc/<pid>/ns/net means what hooks and CNI expect, and
/// dies with the daemon.
///
/// Owns: the process; the destructor kills and reaps it. Thread: the loop's only.
class StandIn {
  public:
    /// Throws: Error naming the program or the namespace.
    StandIn(const asio::any_io_executor& executor, const StandInSpec& spec);

    pid_t pid() const noexcept { return process_.pid(); }

  private:
    ChildProcess process_;
};

} // namespace cppvm
