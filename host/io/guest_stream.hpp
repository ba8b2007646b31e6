#pragma once

#include "common/stream/stream_sender.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace cppvm::io {

/// The host's end of one stdio stream of a process in the guest.
struct GuestStream {
    /// A further connection after the present one broke, when `received` bytes had come; nothing if
    /// the stream is over.
    using Resume =
        std::function<Awaitable<std::optional<stream::Connection>>(std::uint64_t received)>;

    GuestStream(StreamSocket first, Resume next)
        : socket(std::make_shared<StreamSocket>(std::move(first))), resume(std::move(next)) {}

    std::shared_ptr<StreamSocket> socket;
    Resume resume;
};

} // namespace cppvm::io
