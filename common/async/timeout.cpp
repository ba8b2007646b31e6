#include "common/async/timeout.hpp"

#include "common/base/error.hpp"

namespace cppvm::detail {

void check_timeout(
    const std::exception_ptr& failure,
    bool timer_fired,
    bool cancelled_outside,
    std::string_view what
) {
    if (!failure) {
        return;
    }
    if (timer_fired && !cancelled_outside && to_status(failure).code == Code::cancelled) {
        throw Error(Code::deadline_exceeded, std::string(what) + ": timed out");
    }
    std::rethrow_exception(failure);
}

} // namespace cppvm::detail
