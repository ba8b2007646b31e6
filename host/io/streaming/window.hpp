#pragma once

#include <cstddef>
#include <cstdint>

namespace cppvm::io::streaming {

// Both sizes as containerd's own peers have them (core/transfer/streaming in its sources): what one
// message carries at most, and how much a receiver grants at a time.
inline constexpr std::size_t max_chunk = 32UL * 1024;
inline constexpr std::int32_t window_size = 64 * 1024;

/// How much the sender of a stream may still send. Does no I/O.
class SendWindow {
  public:
    /// What the receiver allows in addition. Throws: Error (invalid_argument) unless it is
    /// positive.
    void grant(std::int32_t bytes);

    /// How many of `size` bytes may be sent now, in one message.
    std::size_t fit(std::size_t size) const noexcept;

    /// `size` bytes, at most what `fit` said, are sent.
    void sent(std::size_t size) noexcept { left_ -= size; }

  private:
    std::size_t left_ = 0;
};

/// How much the receiver of a stream has allowed its sender. Does no I/O.
class ReceiveWindow {
  public:
    /// `held`: bytes that came over an earlier connection and are not consumed.
    explicit ReceiveWindow(std::size_t held = 0) : held_(held) {}

    /// Data has come. Throws: Error (resource_exhausted) if it is more than was granted.
    void receive(std::size_t size);

    /// Some of it is gone from the receiver's memory.
    void consume(std::size_t size) noexcept { held_ -= size; }

    /// What is to be granted now; 0 for nothing. Not each small piece: at first the whole window,
    /// then whenever half of it is free. Counts as granted from then on.
    std::int32_t take_grant() noexcept;

  private:
    std::size_t granted_ = 0; ///< and not used yet
    std::size_t held_;        ///< received and not consumed
};

} // namespace cppvm::io::streaming
