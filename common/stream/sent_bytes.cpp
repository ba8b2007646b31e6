#include "common/stream/sent_bytes.hpp"

#include <algorithm>

namespace cppvm::stream {

std::span<std::byte> SentBytes::room() {
    if (!bytes_) {
        bytes_ = std::make_unique_for_overwrite<std::byte[]>(capacity_);
    }
    if (confirmed_ == end_) {
        begin_ = end_; // so that little of it is ever touched where little is on its way
    }
    const std::size_t free = capacity_ - (end_ - confirmed_);
    const std::size_t at = (end_ - begin_) % capacity_;
    return {bytes_.get() + at, std::min(free, capacity_ - at)};
}

void SentBytes::commit(std::size_t size) noexcept {
    end_ += size;
}

std::span<const std::byte> SentBytes::from(std::uint64_t begin, std::size_t max) const noexcept {
    const std::size_t there = end_ - begin;
    if (there == 0) {
        return {}; // there may be no ring
    }
    const std::size_t at = (begin - begin_) % capacity_;
    return {bytes_.get() + at, std::min({there, capacity_ - at, max})};
}

bool SentBytes::confirm(std::uint64_t position) noexcept {
    if (position < confirmed_ || position > end_) {
        return false;
    }
    confirmed_ = position;
    return true;
}

void SentBytes::trim() noexcept {
    if (confirmed_ == end_) {
        bytes_.reset();
    }
}

} // namespace cppvm::stream
