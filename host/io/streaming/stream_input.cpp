#include "host/io/streaming/stream_input.hpp"

#include "common/base/error.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace cppvm::io::streaming {

Awaitable<std::unique_ptr<StreamInput>> StreamInput::open(
    Logger logger, Address address, std::string containerd_namespace, Session::Limits limits
) {
    const auto executor = co_await asio::this_coro::executor;
    auto input = std::make_unique<StreamInput>(
        executor, logger, std::move(address), std::move(containerd_namespace), limits
    );
    co_await input->session_.open();
    co_return input;
}

StreamInput::StreamInput(
    const asio::any_io_executor& executor,
    const Logger& logger,
    Address address,
    std::string containerd_namespace,
    Session::Limits limits
)
    : logger_(logger), readable_(executor),
      session_(
          executor, logger, std::move(address), std::move(containerd_namespace), *this, limits
      ) {}

// What is unread still takes its part of the new window.
void StreamInput::on_connected() {
    window_ = ReceiveWindow(unread_.size());
    grant();
}

void StreamInput::grant() {
    if (const std::int32_t bytes = window_.take_grant(); bytes > 0) {
        session_.post(encode_window_update(bytes));
    }
}

void StreamInput::on_message(Message message) {
    const auto* const data = std::get_if<Data>(&message);
    if (data == nullptr) {
        logger_.debug(
            "Writer of a stdio stream sent what it need not",
            {{"stream", session_.address().text()}}
        );
        return;
    }
    window_.receive(data->bytes.size());
    unread_ += data->bytes;
    readable_.set();
}

void StreamInput::on_end(std::optional<Error> failure) noexcept {
    if (failure) {
        logger_.warn("Input stream lost", {{"error", failure->message()}});
    }
    ended_ = true;
    readable_.set();
}

Awaitable<> StreamInput::wait_readable() {
    while (unread_.empty() && !ended_ && !closed_) {
        readable_.clear();
        co_await readable_.wait();
    }
    if (closed_) {
        throw boost::system::system_error(asio::error::operation_aborted);
    }
}

std::optional<std::size_t> StreamInput::read_some(std::span<std::byte> buffer) {
    if (closed_) {
        throw boost::system::system_error(asio::error::operation_aborted);
    }
    if (unread_.empty()) {
        return ended_ ? std::optional<std::size_t>(0) : std::nullopt;
    }
    const std::size_t size = std::min(unread_.size(), buffer.size());
    std::memcpy(buffer.data(), unread_.data(), size);
    unread_.erase(0, size);
    window_.consume(size);
    grant();
    return size;
}

void StreamInput::close() noexcept {
    if (std::exchange(closed_, true)) {
        return;
    }
    session_.connect_no_more();
    session_.finish();
    readable_.set();
}

Awaitable<> StreamInput::stop() {
    close();
    co_await session_.stop();
}

} // namespace cppvm::io::streaming
