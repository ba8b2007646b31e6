#pragma once

#include "guest-agent/setup/launch.hpp"

#include <cstdint>
#include <sched.h>

namespace cppvm::guest {

/// What an init makes itself. The cgroup namespace's root is the cgroup that it is in by then;
/// /dev/mqueue belongs to whoever makes the IPC namespace, and before a user namespace has its
/// mappings that is nobody; nobody may be in a time namespace before its offsets are written.
inline constexpr std::uint64_t later_namespaces = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWTIME;

/// What a new child does, from its first instruction to the container's program. A failure goes to
/// the agent over the control channel. Private to setup/.
/// `lender`: of a user-namespaced container, the socket to its helper; else empty.
[[noreturn]] void run_init_child(const InitLaunch& launch, int control, UniqueFd lender);
/// The helper of a child in a user namespace, a process of the machine's root that shares the
/// container's other namespaces: for what the machine's root alone can do for it (sources.hpp). It
/// ends with the child's need of it.
[[noreturn]] void run_lender_child(const InitLaunch& launch, int init_pidfd, int socket);
[[noreturn]] void run_exec_child(const ExecLaunch& launch, int control);

} // namespace cppvm::guest
