#pragma once

#include "common/base/error.hpp"

namespace cppvm::agent {

/// A status that the guest answered with, as the host may use it: data for a message, and a code
/// that cannot be taken for something that the host found out itself. `cancelled`, `unavailable`
/// and `deadline_exceeded` become `unknown`, `not_found` and `already_exists`
/// `failed_precondition`; the text becomes one printable line of at most 2 KiB.
Status from_guest(Status status);

} // namespace cppvm::agent
