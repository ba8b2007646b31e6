#pragma once

#include "host/config/config.hpp"

#include <filesystem>
#include <optional>
#include <string_view>
#include <sys/types.h>

namespace cppvm::vm {

/// The users that one machine's helpers run as: nobody else on the host has them, so that what has
/// broken out of one machine can neither trace nor signal, nor open anything of, another's.
struct HelperUsers {
    uid_t qemu = 0;
    uid_t vsock_device = 0;
    uid_t network = 0;

    friend bool operator==(const HelperUsers&, const HelperUsers&) = default;
};

/// The record of `claim_users` in the run directory.
inline constexpr const char* users_file = "users";

/// Takes three user ids of the configured range by writing `<run_dir>/users`; they are free again
/// when that is gone. Two machines whose run directories have the same parent never get the same
/// ones; no lock is needed. Throws: Error (resource_exhausted where none is free).
HelperUsers claim_users(const std::filesystem::path& run_dir, const config::Isolation& isolation);

/// Those that the machine of a run directory has; nothing where it has none.
std::optional<HelperUsers> read_users(const std::filesystem::path& run_dir);

/// The group that QEMU runs in: that of /dev/kvm where it needs the device and its group lets it
/// in, else none that anybody has, numbered as `user`.
gid_t qemu_group(std::string_view acceleration, uid_t user) noexcept;

} // namespace cppvm::vm
