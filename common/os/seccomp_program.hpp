#pragma once

#include <linux/filter.h>
#include <vector>

namespace cppvm {

/// A filter as seccomp(2) takes it. Plain data.
struct SeccompProgram {
    std::vector<sock_filter> instructions; ///< empty: none
    unsigned flags = 0;                    ///< SECCOMP_FILTER_FLAG_*
};

} // namespace cppvm
