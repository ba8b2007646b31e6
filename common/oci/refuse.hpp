#pragma once

#include "common/base/error.hpp"

#include <string>

namespace cppvm::oci {

/// For a field of the spec that makes no sense. Throws: Error (invalid_argument) "<path>:
/// <problem>".
[[noreturn]] inline void refuse(const std::string& path, const std::string& problem) {
    throw Error(Code::invalid_argument, path + ": " + problem);
}

} // namespace cppvm::oci
