#pragma once

#include "host/pod/pod_spec.hpp"

#include <nlohmann/json_fwd.hpp>

namespace cppvm::pod {

/// For the record of a start, and back. Throws: nlohmann::json::exception for what is no such
/// object. Without its files, which come later.
void to_json(nlohmann::json& json, const PodSpec& spec);
void from_json(const nlohmann::json& json, PodSpec& spec);

} // namespace cppvm::pod
