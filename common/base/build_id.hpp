#pragma once

#include <string_view>

namespace cppvm {

/// What `-v` prints: the project's version, such as "0.1.0".
std::string_view version() noexcept;

/// Version and a hash of the host-guest contract. The shim refuses a guest agent whose build id is
/// another one (cmake/CppvmBuildId.cmake).
std::string_view build_id() noexcept;

} // namespace cppvm
