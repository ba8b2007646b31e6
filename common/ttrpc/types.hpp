#pragma once

#include "common/async/asio.hpp"
#include "common/base/error.hpp"
#include "common/ttrpc/frame.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace cppvm::ttrpc {

/// Key and value pairs of a request. Keys are lower case and may repeat.
using Metadata = std::vector<std::pair<std::string, std::string>>;

/// What a caller may add to a call.
struct CallOptions {
    /// Ends the call here, and is sent as the remaining time so that the server stops too.
    Deadline deadline = no_deadline;
    Metadata metadata;
};

/// What a client takes from its server. The defaults are for one that is trusted.
struct PeerPolicy {
    /// Longest reply and longest message of a stream, in bytes; longer ones fail their call.
    std::size_t max_reply_bytes = max_payload_bytes;
    /// Bytes of one stream's messages that may lie unread; the stream fails if more come.
    std::size_t max_unread_bytes = 2UL * max_payload_bytes;
    /// What callers see instead of a status that the server answered with. Not used for what the
    /// client itself finds out (a closed connection, a deadline).
    std::function<Status(Status)> map_status = [](Status status) { return status; };
};

/// What a handler is told about its call. Lives until the handler has ended.
struct CallContext {
    std::string service; ///< as the client named it
    std::string method;
    Metadata metadata;
    Deadline deadline = no_deadline; ///< the handler is cancelled then
    /// Set by a handler that wants something done after its caller has the answer, as Shutdown
    /// does. Called once, on the loop: when the reply was handed to the kernel, or when the
    /// connection ended before that. Must not throw, nor destroy the server.
    std::function<void()> after_reply;
};

} // namespace cppvm::ttrpc
