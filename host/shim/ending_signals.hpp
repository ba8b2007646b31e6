#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

namespace cppvm::shim {

/// From here to its end, SIGTERM and SIGINT no longer end this process by themselves, so that none
/// of them can cut short what it undoes; child processes begin without this. For the first thread,
/// before there are others.
///
/// Returns a descriptor from which they can be read, also those that came before anybody did;
/// non-blocking. Throws: Error.
[[nodiscard]] UniqueFd catch_ending_signals();

/// Waits for the next of them on `descriptor`, from catch_ending_signals. Cancelled: takes none.
/// Returns its number. Throws: Error.
[[nodiscard]] Awaitable<int> wait_ending_signal(asio::posix::stream_descriptor& descriptor);

} // namespace cppvm::shim
