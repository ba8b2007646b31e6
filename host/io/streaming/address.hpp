#pragma once

#include "common/base/one_line.hpp"

#include <string>

namespace cppvm::io::streaming {

/// A stream at a streaming server, `ttrpc+unix://SOCKET?streaming_id=ID`. Plain data.
struct Address {
    std::string socket; ///< path of the server's unix socket
    std::string id;

    /// For error texts: one line.
    std::string text() const {
        constexpr std::size_t max_shown = 256;
        return "stream '" + one_line(id, max_shown) + "' at " + one_line(socket, max_shown);
    }

    friend bool operator==(const Address&, const Address&) = default;
};

} // namespace cppvm::io::streaming
