#pragma once

#include "common/async/asio.hpp"
#include "guest-agent/disks/disk.hpp"

#include <string>

namespace cppvm::guest {

/// Until the machine has a disk of this serial number, which the host gave it a moment ago. The
/// kernel's word (uevents) says when to look.
/// Throws: Error (deadline_exceeded) that names it. Cancels: nothing is lost.
Awaitable<Disk> find_disk(std::string serial, Deadline deadline);

} // namespace cppvm::guest
