#pragma once

#include "proto/cppvm/agent.pb.h"

#include <cstdint>
#include <deque>
#include <optional>

namespace cppvm::guest {

/// What has happened and the host may not have heard of yet, in order. Decides what is told again
/// after a connection was lost; does no I/O.
/// Memory: an event until the host has said that it has seen it. Thread: the loop's only.
class EventLog {
  public:
    /// Appends an event with the next number.
    void append(agent::v2::Event event);

    /// The host has seen all up to this one: they are forgotten.
    void confirm(std::uint64_t sequence) noexcept;

    /// The first event after `sequence`; nothing if there is none yet.
    std::optional<agent::v2::Event> after(std::uint64_t sequence) const;

    std::size_t size() const noexcept { return events_.size(); }

  private:
    std::deque<agent::v2::Event> events_; ///< numbered without a gap, up to `last_`
    std::uint64_t last_ = 0;
};

} // namespace cppvm::guest
