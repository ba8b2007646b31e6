#pragma once

#include "host/storage/mount.hpp"

#include <string>

namespace cppvm::storage {

/// Throws the Error of a failed mount(2): type, source, `error` and, where the kernel tells, what
/// it did not like (its fs context log: "overlay: Unknown parameter 'foo'"). Blocks.
[[noreturn]] void throw_mount_failure(const MountSpec& spec, const std::string& data, int error);

} // namespace cppvm::storage
