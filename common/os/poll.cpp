#include "common/os/poll.hpp"

#include "common/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <poll.h>

namespace cppvm {

bool wait_readable(int fd, std::string_view name, Deadline deadline) {
    pollfd entry{fd, POLLIN, 0};
    for (;;) {
        const auto left = std::min<std::int64_t>(left_until(deadline).count(), INT_MAX);
        const int ready = ::poll(&entry, 1, static_cast<int>(left));
        if (ready >= 0) {
            return ready == 1;
        }
        if (errno != EINTR) {
            throw_errno("poll", name);
        }
    }
}

} // namespace cppvm
