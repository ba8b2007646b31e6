#pragma once

#include "common/oci/spec.hpp"
#include "guest-agent/setup/sources.hpp"

namespace cppvm::guest {

/// Makes the devices and links that every container has in /dev (null, zero, full, random, urandom,
/// tty, ptmx; fd, stdin, stdout, stderr, core), then those of linux.devices. Where mknod is not
/// allowed (user namespaces) or nodes are dead (nodev mounts), one of `sources` is bound instead.
/// `root` is the container's root, attached in this mount namespace; run before pivot_root.
/// Throws: Error naming the device.
void make_devices(int root, Sources& sources, const oci::Linux& spec, bool with_defaults);

} // namespace cppvm::guest
