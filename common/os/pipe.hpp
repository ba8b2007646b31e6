#pragma once

#include "common/base/unique_fd.hpp"

#include <string_view>

namespace cppvm {

/// The two ends of a pipe(7).
struct Pipe {
    UniqueFd read;
    UniqueFd write;
};

/// pipe2(2) with O_CLOEXEC and `flags`. Throws: Error "make a pipe for <whom>: …".
Pipe make_pipe(std::string_view whom, int flags = 0);

} // namespace cppvm
