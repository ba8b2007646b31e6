#pragma once

#include "common/base/error.hpp"

#include <string>

namespace cppvm::testing {

/// The message of the Error that `action` throws.
template <class F>
std::string failure_of(F action) {
    try {
        action();
    } catch (const Error& error) {
        return error.message();
    }
    return "nothing was thrown";
}

} // namespace cppvm::testing
