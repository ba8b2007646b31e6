#pragma once

namespace cppvm {

/// setns(2) into a mount namespace, given by a descriptor of its own or by a pidfd; root and
/// working directory are then its root. For a child that has been forked for it: works with a
/// sanitizer, which has threads of its own there, too. As system calls do: -1, with errno, if it
/// fails.
int enter_mount_namespace(int descriptor) noexcept;

} // namespace cppvm
