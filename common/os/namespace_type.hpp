#pragma once

#include <filesystem>

namespace cppvm {

/// CLONE_NEW* of the namespace that a descriptor of /proc/PID/ns, or of a bind mount from there, is
/// open at; 0: it is none (ioctl_ns(2)).
int namespace_type(int fd) noexcept;

/// The same of a path. Throws: Error naming it if it cannot be opened.
int namespace_type_at(const std::filesystem::path& path);

} // namespace cppvm
