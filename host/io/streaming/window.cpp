#include "host/io/streaming/window.hpp"

#include "common/base/error.hpp"

#include <algorithm>
#include <limits>
#include <string>

namespace cppvm::io::streaming {

void SendWindow::grant(std::int32_t bytes) {
    if (bytes <= 0) {
        throw Error(
            Code::invalid_argument,
            "the peer grants a window of " + std::to_string(bytes) + " bytes"
        );
    }
    // A peer that grants without end means that there is none.
    constexpr std::size_t most = std::numeric_limits<std::int32_t>::max();
    left_ = std::min(left_ + static_cast<std::size_t>(bytes), most);
}

std::size_t SendWindow::fit(std::size_t size) const noexcept {
    return std::min({size, left_, max_chunk});
}

void ReceiveWindow::receive(std::size_t size) {
    if (size > granted_) {
        throw Error(
            Code::resource_exhausted,
            "the peer sent " + std::to_string(size) + " bytes into a window of " +
                std::to_string(granted_)
        );
    }
    granted_ -= size;
    held_ += size;
}

std::int32_t ReceiveWindow::take_grant() noexcept {
    const auto free = window_size - static_cast<std::int32_t>(granted_ + held_);
    if (free < window_size / 2) {
        return 0;
    }
    granted_ += static_cast<std::size_t>(free);
    return free;
}

} // namespace cppvm::io::streaming
