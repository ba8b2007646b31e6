#include "guest-agent/service/event_subscription.hpp"

#include "common/async/first_of.hpp"

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <utility>

namespace cppvm::guest {

namespace {

// A clock drifts by less than a millisecond in that time, and that long it is wrong at most after
// a suspend. Each comparison wakes the guest for some 0.1 ms.
constexpr std::chrono::seconds clock_interval{10};

} // namespace

EventSubscription::EventSubscription(
    const asio::any_io_executor& executor,
    const EventLog& log,
    const agent::v2::Event::Listening& listening,
    const HostSockets& sockets,
    std::uint64_t seen
)
    : log_(log), listening_(listening), sockets_(sockets), seen_(seen), news_(executor) {}

void EventSubscription::tell_listening() noexcept {
    listening_changed_ = true;
    news_.set();
}

void EventSubscription::supersede() noexcept {
    superseded_ = true;
    news_.set();
}

Awaitable<> EventSubscription::run(ttrpc::ReplyWriter<agent::v2::Event>& events) {
    co_await first_of(send(events), count_time());
}

Awaitable<> EventSubscription::send(ttrpc::ReplyWriter<agent::v2::Event>& events) {
    for (;;) {
        if (superseded_) {
            co_return;
        }
        if (auto event = log_.after(seen_)) {
            seen_ = event->sequence();
            co_await events.send(*event);
        } else if (std::exchange(listening_changed_, false)) {
            agent::v2::Event listening;
            *listening.mutable_listening() = listening_;
            co_await events.send(listening);
        } else if (const auto waiting = sockets_.waiting_after(told_connection_)) {
            told_connection_ = waiting->connection;
            agent::v2::Event connection;
            connection.mutable_socket_connection()->set_socket(waiting->socket);
            connection.mutable_socket_connection()->set_connection(waiting->connection);
            co_await events.send(connection);
        } else if (std::exchange(clock_wanted_, false)) {
            agent::v2::Event wanted;
            wanted.mutable_clock_wanted();
            co_await events.send(wanted);
        } else {
            news_.clear();
            co_await news_.wait();
        }
    }
}

Awaitable<> EventSubscription::count_time() {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (;;) {
        timer.expires_after(clock_interval);
        co_await timer.async_wait(asio::use_awaitable);
        clock_wanted_ = true;
        news_.set();
    }
}

} // namespace cppvm::guest
