#include "host/io/streaming/session.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"

#include <algorithm>
#include <utility>

namespace cppvm::io::streaming {

Session::Session(
    const asio::any_io_executor& executor,
    Logger logger,
    Address address,
    std::string containerd_namespace,
    Listener& listener,
    Limits limits
)
    : logger_(std::move(logger)), address_(std::move(address)),
      namespace_(std::move(containerd_namespace)), listener_(listener), limits_(limits),
      no_more_(executor), tasks_(executor, logger_) {}

Awaitable<> Session::open() {
    co_await connect();
    tasks_.spawn(address_.text(), run());
}

Awaitable<> Session::connect() {
    channel_ = co_await Channel::open(logger_, address_, namespace_, deadline_in(limits_.connect));
    connected_at_ = std::chrono::steady_clock::now();
}

Awaitable<> Session::run() {
    std::optional<Error> failure;
    try {
        bool wanted = true;
        while (wanted && co_await listen()) {
            wanted = co_await reconnect();
        }
    } catch (const Error& error) {
        failure.emplace(error);
    }
    connected_ = false;
    co_await channel_->stop();
    listener_.on_end(std::move(failure));
}

// True: the connection broke. False: the peer has ended the stream.
Awaitable<bool> Session::listen() {
    connected_ = true;
    listener_.on_connected();
    if (finishing_) {
        channel_->close_send();
    }
    for (;;) {
        std::optional<std::string> message;
        try {
            message = co_await channel_->receive();
        } catch (const Error& error) {
            logger_.debug("Stream broke", {{"error", error.message()}});
            co_return true;
        }
        if (!message) {
            co_return false;
        }
        listener_.on_message(decode_message(*message));
    }
}

// False: nobody wants it any more. A server that takes the stream and drops it again at once gets
// no quicker attempts, nor more time, than one that is not there.
Awaitable<bool> Session::reconnect() {
    connected_ = false;
    co_await channel_->stop();
    if (std::chrono::steady_clock::now() - connected_at_ >= limits_.last_pause ||
        give_up_ == no_deadline) {
        pause_ = limits_.first_pause;
        give_up_ = deadline_in(limits_.reconnect);
        logger_.info("Connection of a stdio stream lost", {{"stream", address_.text()}});
    }
    for (;;) {
        if (co_await ends_by(no_more_.wait(), deadline_in(pause_))) {
            co_return false;
        }
        pause_ = std::min(pause_ * 2, limits_.last_pause);
        try {
            co_await connect();
            co_return true;
        } catch (const Error& error) {
            if (std::chrono::steady_clock::now() >= give_up_) {
                throw Error(error.code(), error.message() + ", after the stream was lost");
            }
        }
    }
}

Awaitable<bool> Session::send(std::string message) {
    const auto channel = channel_; // outlives a reconnection meanwhile
    try {
        co_await channel->send(std::move(message));
        co_return true;
    } catch (const Error&) {
        if (channel == channel_) {
            connected_ = false; // `run` finds out the same, and why
        }
    }
    co_return false;
}

void Session::post(const std::string& message) {
    if (connected_) {
        channel_->post(message);
    }
}

void Session::finish() {
    finishing_ = true;
    if (connected_) {
        channel_->close_send();
    }
}

Awaitable<> Session::stop() {
    co_await tasks_.stop();
    connected_ = false;
    if (channel_) {
        co_await channel_->stop();
    }
}

} // namespace cppvm::io::streaming
