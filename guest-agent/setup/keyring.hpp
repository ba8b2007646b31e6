#pragma once

#include <string>

namespace cppvm::guest {

/// Leaves the session keyring that all of the machine would share (session-keyring(7)) for the
/// container's own, which its execs join by the same name. Nothing happens where the kernel has no
/// keys. Throws: Error.
void join_session_keyring(const std::string& container_id);

} // namespace cppvm::guest
