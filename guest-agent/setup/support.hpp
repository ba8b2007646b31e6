#pragma once

#include "common/oci/spec.hpp"

#include <string>
#include <vector>

namespace cppvm::guest {

/// Checks the parts of a spec that only make sense together, before anything is made.
/// Returns the JSON paths of what is parsed but not done, to be reported with the parser's own
/// list. Throws: Error (invalid_argument) for what would weaken the container if it were left out,
/// naming its JSON path.
std::vector<std::string> review(const oci::Spec& spec);
std::vector<std::string> review(const oci::Process& process);
std::vector<std::string> review(const oci::Resources& resources);

} // namespace cppvm::guest
