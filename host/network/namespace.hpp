#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"
#include "host/network/namespace_spec.hpp"

namespace cppvm::network {

/// The network namespace that `spec` names, which lives as long as a descriptor of it is open: an
/// existing one, a new one, or our own.
/// Throws: Error naming the path that is no network namespace; deadline_exceeded. Cancels: nothing
/// is left.
Awaitable<UniqueFd>
open_namespace(const asio::any_io_executor& executor, NamespaceSpec spec, Deadline deadline);

/// The existing one at `path`. Throws: Error naming it if it is none.
UniqueFd open_existing(const std::filesystem::path& path);

} // namespace cppvm::network
