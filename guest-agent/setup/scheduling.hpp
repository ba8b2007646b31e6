#pragma once

#include "common/oci/spec.hpp"

namespace cppvm::guest {

/// Throw: Error (invalid_argument) that names the field, for words that stand for nothing.
void review_scheduling(const oci::Process& process);
void review_personality(const oci::Personality& personality);

/// Of this process: its scheduler and its priority for I/O, as far as the spec says any. Needs
/// capabilities for some of them. Throws: Error.
void set_scheduling(const oci::Process& process);

/// Of this process (personality(2)). Throws: Error.
void set_personality(const oci::Personality& personality);

} // namespace cppvm::guest
