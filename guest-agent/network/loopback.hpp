#pragma once

namespace cppvm::guest {

/// Brings the loopback interface of this process's network namespace up. Throws: Error.
void bring_up_loopback();

} // namespace cppvm::guest
