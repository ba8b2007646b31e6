#pragma once

#include "common/oci/spec.hpp"

#include <linux/filter.h>
#include <vector>

namespace cppvm::seccomp {

/// Whether the profile's default is to refuse, and it says nothing else about calls that it cannot
/// know.
bool refuses_newer_calls(const oci::Seccomp& profile);

/// The beginning of a program: a system call whose number is above all those that the profile names
/// for the same architecture fails with ENOSYS; for all others the program goes on behind it.
std::vector<sock_filter> refuse_newer_calls(const oci::Seccomp& profile);

} // namespace cppvm::seccomp
