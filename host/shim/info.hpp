#pragma once

#include <string>

namespace cppvm::shim {

/// What `-info` prints: a containerd.types.RuntimeInfo with the runtime's name, version and OCI
/// features. Depends on nothing outside the program.
std::string runtime_info();

} // namespace cppvm::shim
