#pragma once

#include "common/async/asio.hpp"

#include <string_view>

namespace cppvm {

/// Blocks this thread until `fd` has something to read, has come to its end or an error; false when
/// `deadline` passed first. Signals do not end it. Throws: Error naming `name`.
bool wait_readable(int fd, std::string_view name, Deadline deadline);

} // namespace cppvm
