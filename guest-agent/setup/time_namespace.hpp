#pragma once

#include "common/oci/spec.hpp"

#include <map>
#include <string>

namespace cppvm::guest {

/// Throws: Error (invalid_argument) that names the field: offsets of clocks that have none, or
/// without a time namespace.
void review_time_offsets(const oci::Linux& spec);

/// Takes this process into a new time namespace with these offsets. They can only be written before
/// the first process is in it (time_namespaces(7)), so a clone3(2) with CLONE_NEWTIME would be too
/// late. Uses the agent's /proc; in a user namespace before the process has changed its ids.
/// Throws: Error.
void enter_time_namespace(const std::map<std::string, oci::TimeOffset>& offsets);

} // namespace cppvm::guest
