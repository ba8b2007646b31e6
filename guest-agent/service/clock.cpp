#include "guest-agent/service/clock.hpp"

#include <ctime>
#include <utility>

namespace cppvm::guest {

namespace {

constexpr std::int64_t second = 1000000000;
// As ntpd(8): 128 ms. Larger errors come from a machine that stood still.
constexpr std::int64_t step_forward = second / 10;
// The host's programs have seen the same step.
constexpr std::int64_t step_back = second;

} // namespace

std::int64_t wall_clock_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return std::int64_t{now.tv_sec} * second + now.tv_nsec;
}

ClockChange Clock::decide(std::int64_t behind_ns, std::int64_t adjust_ns, bool first) noexcept {
    if (behind_ns > (first ? 0 : step_forward)) {
        return {.step_ns = behind_ns};
    }
    if (adjust_ns > step_forward || adjust_ns < -step_back) {
        return {.step_ns = adjust_ns};
    }
    return {.slew_ns = adjust_ns};
}

void Clock::hear(std::int64_t host_ns, std::int64_t adjust_ns) {
    const bool first = std::exchange(first_, false);
    const ClockChange change = decide(host_ns - wall_clock_ns(), adjust_ns, first);
    if (change.step_ns != 0 || change.slew_ns != 0) {
        change_(change);
    }
}

} // namespace cppvm::guest
