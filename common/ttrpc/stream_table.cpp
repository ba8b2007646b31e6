#include "common/ttrpc/stream_table.hpp"

#include <limits>
#include <utility>

namespace cppvm::ttrpc {

std::optional<std::uint32_t> StreamTable::open(Receiver& receiver) {
    if (last_id_ == std::numeric_limits<std::uint32_t>::max()) {
        return std::nullopt;
    }
    const std::uint32_t id = last_id_ == 0 ? 1 : last_id_ + 2;
    receivers_.emplace(id, &receiver);
    last_id_ = id;
    return id;
}

bool StreamTable::accept(std::uint32_t id) noexcept {
    if (id % 2 == 0 || id <= last_id_) {
        return false;
    }
    last_id_ = id;
    return true;
}

void StreamTable::attach(std::uint32_t id, Receiver& receiver) {
    receivers_.insert_or_assign(id, &receiver);
}

void StreamTable::remove(std::uint32_t id) noexcept {
    receivers_.erase(id);
}

StreamTable::Delivery StreamTable::deliver(Frame frame) {
    const std::uint32_t id = frame.header.stream;
    const auto entry = receivers_.find(id);
    if (entry == receivers_.end()) {
        return id % 2 == 1 && id <= last_id_ ? Delivery::abandoned : Delivery::unknown;
    }
    if (!entry->second->on_frame(std::move(frame))) {
        receivers_.erase(entry);
    }
    return Delivery::delivered;
}

void StreamTable::fail_all(const Error& error) {
    for (const auto& [id, receiver] : std::exchange(receivers_, {})) {
        receiver->on_failure(error);
    }
}

} // namespace cppvm::ttrpc
