#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <filesystem>

namespace cppvm {

enum class SymbolicLinks {
    refuse, ///< for a directory that may be another's
    follow,
};

/// A connection to the unix socket at `path`, however long that is. `links`: of the path's last
/// component. Throws: Error naming the path. Cancels: the attempt.
Awaitable<asio::local::stream_protocol::socket>
connect_unix(std::filesystem::path path, SymbolicLinks links = SymbolicLinks::refuse);

} // namespace cppvm
