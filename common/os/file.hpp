#pragma once

#include "common/base/unique_fd.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace cppvm {

/// open(2) with O_CLOEXEC. Throws: Error naming the path.
UniqueFd open_file(const std::filesystem::path& path, int flags, mode_t mode = 0);

/// openat2(2) with O_CLOEXEC: `resolve` are its RESOLVE_ flags. Empty, with errno set, if it fails.
UniqueFd open_resolved(
    int directory, const std::filesystem::path& path, std::uint64_t flags, std::uint64_t resolve
) noexcept;

/// A copy of a descriptor, numbered `lowest` or higher, with FD_CLOEXEC. Throws: Error.
UniqueFd duplicate(int fd, std::string_view name, int lowest = 0);

/// The whole file, at most `max_bytes`. Throws: Error; resource_exhausted when it is larger.
std::string read_file(const std::filesystem::path& path, std::size_t max_bytes);

/// Everything up to end of file, at most `max_bytes`, from a blocking descriptor.
/// Throws: Error; resource_exhausted when there is more.
std::string read_all(int fd, std::string_view name, std::size_t max_bytes);

/// Writes all of `data` to a blocking descriptor. Throws: Error.
void write_all(int fd, std::string_view name, std::string_view data);

/// Replaces `path` as a whole: a reader sees the old file or the new one, never a part.
void write_file_atomically(const std::filesystem::path& path, std::string_view data, mode_t mode);

/// Writes to an existing file (proc, sysfs, cgroupfs) in one write(2). Throws: Error.
void write_control_file(const std::filesystem::path& path, std::string_view data);

/// mkdir(2); an existing directory is fine. Throws: Error.
void make_directory(const std::filesystem::path& path, mode_t mode);
/// The same for each directory of `path` that is missing.
void make_directories(const std::filesystem::path& path, mode_t mode);

/// Whether `path`, followed where it is a link, leads to what `fd` is open at; false where nothing
/// is there.
bool is_same_file(const std::filesystem::path& path, int fd) noexcept;

/// O_NONBLOCK on or off. Throws: Error.
void set_nonblocking(int fd, bool on);

} // namespace cppvm
