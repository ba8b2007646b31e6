#include "common/base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace cppvm {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
    std::fprintf(stderr, "cppvm: invariant broken at %s:%d: %s\n", file, line, expression);
    std::abort();
}

} // namespace cppvm
