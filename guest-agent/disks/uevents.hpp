#pragma once

#include "common/async/asio.hpp"

#include <functional>

namespace cppvm::guest {

/// Until `look` finds what it looks for. It is asked again whenever the kernel says that a device
/// has come, gone or changed (uevents). Throws: Error, and what `look` throws. Cancels: nothing is
/// lost.
Awaitable<> look_at_each_uevent(std::function<bool()> look);

} // namespace cppvm::guest
