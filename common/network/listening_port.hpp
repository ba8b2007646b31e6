#pragma once

#include <compare>
#include <cstdint>

namespace cppvm::network {

/// A TCP port of the guest that somebody listens on, as its loopback address of a family reaches
/// it. Plain data.
struct ListeningPort {
    bool ipv6 = false;
    std::uint16_t port = 0;
    bool everywhere = false; ///< at all addresses of the family, and not at loopback's alone

    friend auto operator<=>(const ListeningPort&, const ListeningPort&) = default;
};

} // namespace cppvm::network
