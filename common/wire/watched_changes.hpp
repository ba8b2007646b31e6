#pragma once

#include <cstdint>
#include <sys/inotify.h>

namespace cppvm::wire {

/// What the host reports of a watched file (inotify(7)): everything but opens, reads, and closes
/// that wrote nothing.
inline constexpr std::uint32_t watched_changes = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVE |
                                                 IN_CREATE | IN_DELETE | IN_DELETE_SELF |
                                                 IN_MOVE_SELF;

} // namespace cppvm::wire
