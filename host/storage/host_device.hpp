#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace cppvm::storage {

/// A device node of the host. Plain data.
struct HostDevice {
    dev_t number = 0;
    mode_t mode = 0; ///< its type and permissions
    uid_t uid = 0;
    gid_t gid = 0;
};

/// The character or block device at `path`; nothing if it is something else, or does not exist,
/// which shows when it is mounted. Looks only below /dev: anywhere else a stat could wait for a
/// server that does not answer.
std::optional<HostDevice> host_device_at(const std::filesystem::path& path) noexcept;

/// What the kernel calls a device of that number below /dev ("vfio/17"); empty: it has none. `sys`:
/// where sysfs is. `kind`: "block" or "char".
std::string kernels_name(const std::filesystem::path& sys, std::string_view kind, dev_t number);

/// Where the kernel has put the node of a block device. Throws: Error (failed_precondition) if
/// there is none.
std::filesystem::path find_block_device(dev_t number);

} // namespace cppvm::storage
