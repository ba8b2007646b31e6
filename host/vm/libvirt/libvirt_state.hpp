#pragma once

#include "common/async/asio.hpp"
#include "host/config/config.hpp"

#include <string>

namespace cppvm::vm {

/// Whether the configured libvirt keeps its state of running domains where these functions look:
/// `<name>.pid` and `<name>.xml` in /run/libvirt/qemu, for as long as it knows a domain
/// (https://libvirt.org/drvqemu.html#location-of-configuration-files).
bool libvirt_state_is_visible(const config::Config& config);

/// Whether it knows a domain.
bool known_to_libvirt(const std::string& name);

/// Until it does not know a domain any more whose QEMU has ended, which it notices by itself.
/// Throws: Error; deadline_exceeded. Cancels: the wait.
Awaitable<> wait_forgotten_by_libvirt(std::string name, Deadline deadline);

} // namespace cppvm::vm
