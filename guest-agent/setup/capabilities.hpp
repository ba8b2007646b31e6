#pragma once

#include "common/oci/spec.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cppvm::guest {

/// A set of capabilities: bit n is capability n of capabilities(7).
using CapabilityBits = std::uint64_t;

struct CapabilitySets {
    CapabilityBits bounding = 0;
    CapabilityBits effective = 0;
    CapabilityBits inheritable = 0;
    CapabilityBits permitted = 0;
    CapabilityBits ambient = 0;
};

/// Names to bits. Names that are not known are left out, which gives the process less, and are
/// added to `unknown` as "process.capabilities.bounding.CAP_NEW".
CapabilitySets
to_sets(const std::optional<oci::Capabilities>& names, std::vector<std::string>& unknown);

/// Of this process: drops the bounding set to what is given. Needs CAP_SETPCAP. Throws: Error.
void limit_bounding_set(CapabilityBits bounding);

/// Of this process: the other four sets. Throws: Error, naming the set.
void set_capabilities(const CapabilitySets& sets);

} // namespace cppvm::guest
