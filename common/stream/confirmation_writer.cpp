#include "common/stream/confirmation_writer.hpp"

#include <boost/asio/buffer.hpp>

namespace cppvm::stream {

void ConfirmationWriter::received(StreamSocket& socket, std::uint64_t received) noexcept {
    if (received - confirmed_ >= wire::confirmation_interval) {
        write(socket, received);
    }
}

void ConfirmationWriter::end(StreamSocket& socket, std::uint64_t received) noexcept {
    write(socket, received + 1);
}

void ConfirmationWriter::refuse(StreamSocket& socket) noexcept {
    write(socket, wire::stream_refused);
}

void ConfirmationWriter::write(StreamSocket& socket, std::uint64_t confirmation) noexcept {
    if (!flush(socket)) {
        return;
    }
    bytes_ = wire::encode_confirmation(confirmation);
    left_ = bytes_.size();
    confirmed_ = confirmation;
    flush(socket);
}

// True once nothing is left of an earlier one.
bool ConfirmationWriter::flush(StreamSocket& socket) noexcept {
    boost::system::error_code error;
    socket.non_blocking(true, error);
    while (left_ > 0 && !error) {
        left_ -=
            socket.write_some(asio::buffer(bytes_.data() + bytes_.size() - left_, left_), error);
    }
    return left_ == 0;
}

} // namespace cppvm::stream
