#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace cppvm::stream {

/// The bytes of a stream that its receiver has not confirmed yet, to be sent again on another
/// connection. A ring: bytes do not move while they are in it. Decides what fits; does no I/O.
///
/// Memory: `capacity`, from `room` until `trim`; of that, what is not confirmed at a time is used.
class SentBytes {
  public:
    explicit SentBytes(std::size_t capacity) : capacity_(capacity) {}

    /// The place where further bytes go: a part of the room that is left, empty if there is none.
    /// Valid until `commit` or `trim`, whatever is confirmed meanwhile.
    std::span<std::byte> room();

    /// The first `size` bytes of `room` are part of the stream now.
    void commit(std::size_t size) noexcept;

    /// Bytes from the stream's position `begin` on, as many as are there in one piece, at most
    /// `max`; empty at the end. `begin` is from `confirmed` to `end`.
    std::span<const std::byte> from(std::uint64_t begin, std::size_t max) const noexcept;

    /// Drops what comes before `position`. False, and nothing changes, if that is not a position
    /// from `confirmed` to `end`.
    bool confirm(std::uint64_t position) noexcept;

    /// Gives the memory back if nothing is held. For a source that has nothing at the moment.
    void trim() noexcept;
    bool has_memory() const noexcept { return bytes_ != nullptr; }

    std::size_t capacity() const noexcept { return capacity_; }

    /// Positions: how many bytes of the stream are confirmed, and how many there have been.
    std::uint64_t confirmed() const noexcept { return confirmed_; }
    std::uint64_t end() const noexcept { return end_; }

  private:
    std::size_t capacity_;
    std::unique_ptr<std::byte[]> bytes_;
    std::uint64_t begin_ = 0; ///< the position that is at the beginning of `bytes_`
    std::uint64_t confirmed_ = 0;
    std::uint64_t end_ = 0;
};

} // namespace cppvm::stream
