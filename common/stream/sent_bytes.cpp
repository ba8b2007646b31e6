#include "common/stream/sent_bytes.hpp"

#include <algorithm>

namespace cppvm::stream {

std::span<std::byte> SentBytes::room() {
    if (!bytes_) {
        bytes_ = std::make_unique_for_overwrite<std::byte[]>(capacity_);
    }
    lent_ = true;
    const std::size_t free = capacity_ - (end_ - confirmed_);
    const std::size_t at = end_ % capacity_;
    return {bytes_.get() + at, std::min(free, capacity_ - at)};
}

void SentBytes::commit(std::size_t size) noexcept {
    lent_ = false;
    end_ += size;
    release_if_unused();
}

std::span<const std::byte> SentBytes::from(std::uint64_t begin, std::size_t max) const noexcept {
    const std::size_t there = end_ - begin;
    if (there == 0) {
        return {}; // there may be no ring
    }
    const std::size_t at = begin % capacity_;
    return {bytes_.get() + at, std::min({there, capacity_ - at, max})};
}

bool SentBytes::confirm(std::uint64_t position) noexcept {
    if (position < confirmed_ || position > end_) {
        return false;
    }
    confirmed_ = position;
    release_if_unused();
    return true;
}

void SentBytes::release_if_unused() noexcept {
    if (!lent_ && confirmed_ == end_) {
        bytes_.reset();
    }
}

} // namespace cppvm::stream
