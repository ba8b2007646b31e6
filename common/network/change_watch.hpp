#pragma once

#include "common/async/asio.hpp"
#include "common/network/netlink.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <linux/rtnetlink.h>
#include <span>

namespace cppvm::network {

/// Hears of changes in a network namespace. Thread: the loop's only.
class ChangeWatch {
  public:
    /// Hears of what changes from now on, in the namespace of `socket`, which has been used for
    /// nothing else. `groups`: RTNLGRP_*. Throws: Error.
    ChangeWatch(
        const asio::any_io_executor& executor,
        Socket socket,
        std::span<const rtnetlink_groups> groups
    );
    ChangeWatch(const ChangeWatch&) = delete;
    ChangeWatch& operator=(const ChangeWatch&) = delete;
    ~ChangeWatch();

    /// Until something has changed since the last call. What changes in a burst counts once.
    /// Throws: Error. Cancels: nothing is lost.
    Awaitable<> wait();

  private:
    bool drain();

    Socket socket_;
    asio::posix::stream_descriptor readable_; ///< borrows the socket's descriptor
};

} // namespace cppvm::network
