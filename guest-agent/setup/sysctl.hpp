#pragma once

#include <map>
#include <string>
#include <sys/types.h>

namespace cppvm::guest {

/// The path of a sysctl below /proc/sys: "net.ipv4.ip_forward" gives "net/ipv4/ip_forward"; a key
/// whose first separator is a slash may have dots in its names, as in sysctl(8).
/// Throws: Error (invalid_argument) unless the sysctl belongs to a namespace: net.*, fs.mqueue.*,
/// the System V ones of kernel.* and kernel.domainname (the same that runc takes). The others are
/// the whole machine's, and kernel.hostname has a field of the spec.
std::string sysctl_path(const std::string& key);

/// Writes them for this process's namespaces, through the agent's procfs: before pivot_root. As the
/// machine's root, or else as `owner`, the root of the user namespace that these belong to.
/// Throws: Error naming the sysctl.
void write_sysctls(const std::map<std::string, std::string>& sysctls, uid_t owner);

} // namespace cppvm::guest
