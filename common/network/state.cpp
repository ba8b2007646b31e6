#include "common/network/state.hpp"

#include <cstdio>

namespace cppvm::network {

std::string to_text(const MacAddress& mac) {
    std::array<char, 18> text{};
    std::snprintf(
        text.data(),
        text.size(),
        "%02x:%02x:%02x:%02x:%02x:%02x",
        mac[0],
        mac[1],
        mac[2],
        mac[3],
        mac[4],
        mac[5]
    );
    return text.data();
}

std::string to_text(const Prefix& prefix) {
    return prefix.address.to_string() + "/" + std::to_string(prefix.length);
}

} // namespace cppvm::network
