#include "guest-agent/service/event_log.hpp"

#include <algorithm>
#include <utility>

namespace cppvm::guest {

void EventLog::append(agent::v2::Event event) {
    event.set_sequence(++last_);
    events_.push_back(std::move(event));
}

void EventLog::confirm(std::uint64_t sequence) noexcept {
    while (!events_.empty() && events_.front().sequence() <= sequence) {
        events_.pop_front();
    }
}

std::optional<agent::v2::Event> EventLog::after(std::uint64_t sequence) const {
    if (sequence >= last_ || events_.empty()) {
        return std::nullopt;
    }
    const std::uint64_t first = events_.front().sequence();
    return events_[std::max(sequence + 1, first) - first];
}

} // namespace cppvm::guest
