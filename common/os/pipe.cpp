#include "common/os/pipe.hpp"

#include "common/base/error.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace cppvm {

Pipe make_pipe(std::string_view whom, int flags) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | flags) != 0) {
        throw_errno("make a pipe for", whom);
    }
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

} // namespace cppvm
