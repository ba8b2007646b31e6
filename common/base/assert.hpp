#pragma once

namespace cppvm {

/// Prints one line to stderr and aborts. For broken invariants only; never for bad input.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

} // namespace cppvm

/// Checked in release builds too: a process that is in a state that cannot be must not go on.
#define CPPVM_ASSERT(expression)                                                                   \
    ((expression) ? static_cast<void>(0)                                                           \
                  : ::cppvm::assertion_failed(#expression, __FILE__, __LINE__))
