#pragma once

#include "common/async/asio.hpp"
#include "common/network/listening_port.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <set>
#include <string_view>

namespace cppvm::guest {

/// Those of the text of /proc/net/tcp or /proc/net/tcp6 (proc(5)) that a connection to 127.0.0.1 or
/// ::1 reaches. Malformed lines are left out. Pure.
std::set<network::ListeningPort> parse_listeners(std::string_view table, bool ipv6);

/// All of this process's network namespace now; a socket of IPv6 that serves IPv4 too is there for
/// both. Throws: Error.
std::set<network::ListeningPort> read_listeners();

/// Hears when somebody begins or ends to listen, by a trace event of the kernel's
/// (sock:inet_sock_set_state).
/// Owns: an instance of the kernel's trace buffers. Thread: the loop's only.
class ListenWatch {
  public:
    /// Throws: Error where the kernel has no such event.
    explicit ListenWatch(const asio::any_io_executor& executor);

    /// Until something has changed since the last call. Cancels: nothing is lost.
    Awaitable<> wait();

  private:
    bool drain();

    asio::posix::stream_descriptor events_;
};

} // namespace cppvm::guest
