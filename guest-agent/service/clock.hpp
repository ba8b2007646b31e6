#pragma once

#include <cstdint>
#include <functional>

namespace cppvm::guest {

/// What is done to the wall clock: a step at once, else a slow correction (adjtime(3)), which takes
/// the place of an earlier one.
struct ClockChange {
    std::int64_t step_ns = 0;
    std::int64_t slew_ns = 0;
};

/// CLOCK_REALTIME in ns since 1970.
std::int64_t wall_clock_ns();

/// Keeps the wall clock by the host's word (SetClock of agent.proto says by which rules). The word
/// may be old, because a machine stands still at times: a clock that shows less is behind in any
/// case, one that shows more need not be ahead. Thread: the loop's only.
class Clock {
  public:
    explicit Clock(std::function<void(const ClockChange&)> change) : change_(std::move(change)) {}

    /// Throws: what `change` does.
    void hear(std::int64_t host_ns, std::int64_t adjust_ns);

    /// The rules alone.
    static ClockChange decide(std::int64_t behind_ns, std::int64_t adjust_ns, bool first) noexcept;

  private:
    std::function<void(const ClockChange&)> change_;
    bool first_ = true;
};

} // namespace cppvm::guest
