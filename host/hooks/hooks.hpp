#pragma once

#include "common/async/asio.hpp"
#include "common/oci/container_state.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm::hooks {

/// Runs programs of the host one after the other, each in the bundle, with the state on stdin and
/// within its time limit. `kind`: "prestart", for errors.
/// Throws: Error naming the hook, with the last line of its stderr; the rest is not run then.
/// Cancels: kills the one that runs.
Awaitable<> run(std::string kind, std::vector<oci::Hook> hooks, oci::ContainerState state);

/// The same, but each is run whatever became of the others; the errors, in their order.
Awaitable<std::vector<std::string>>
run_all(std::string kind, std::vector<oci::Hook> hooks, oci::ContainerState state);

/// Whether poststop hooks are still to be run for what was in a bundle: a mark there, which the
/// daemon sets before the first hook and takes away after the last, so that `delete` runs them
/// where it could not. Setting it throws Error; the others do not throw.
void set_poststop_due(const std::filesystem::path& bundle);
bool is_poststop_due(const std::filesystem::path& bundle) noexcept;
void clear_poststop_due(const std::filesystem::path& bundle) noexcept;

} // namespace cppvm::hooks
