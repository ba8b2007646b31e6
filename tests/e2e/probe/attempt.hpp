#pragma once

#include <functional>
#include <string>

namespace cppvm::probe {

/// What becomes of `action` in a process of its own: "ok", the name of the error number that it
/// returns ("EPERM"), or the signal that ended it ("SIGSYS").
std::string attempt(const std::function<int()>& action);

/// 0, or errno after a system call that returned -1.
int error_of(long result);

std::string error_name(int error);

} // namespace cppvm::probe
