#include "host/api/event_publisher.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/unix_connection.hpp"
#include "host/api/event_encoding.hpp"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>

namespace cppvm::api {

namespace {

constexpr std::chrono::seconds call_timeout{5};
// containerd drops in and out with restarts: soon back at first, then not in a hurry.
constexpr std::chrono::milliseconds first_retry{50};
constexpr std::chrono::milliseconds last_retry{2000};
// An event that containerd itself refuses this often is not going to be taken.
constexpr int max_refusals = 5;

constexpr const char* service = "containerd.services.events.ttrpc.v1.Events";
constexpr const char* namespace_key = "containerd-namespace-ttrpc";

} // namespace

EventPublisher::EventPublisher(
    const asio::any_io_executor& executor,
    Logger logger,
    std::string address,
    std::string containerd_namespace
)
    : executor_(executor), logger_(std::move(logger)), address_(std::move(address)),
      namespace_(std::move(containerd_namespace)), not_empty_(executor), drained_(executor),
      tasks_(executor, logger_) {
    drained_.set();
    if (!address_.empty()) {
        tasks_.spawn("event publisher", run());
    }
}

EventPublisher::~EventPublisher() = default;

void EventPublisher::publish(sandbox::TaskEvent event) {
    if (address_.empty()) {
        return;
    }
    if (queue_.size() == max_queued) {
        // The first one may be on its way right now, so the second goes.
        const auto oldest = std::next(queue_.begin());
        logger_.error(
            "Event dropped: containerd has been unreachable for too long",
            {{"topic", oldest->topic}}
        );
        queue_.erase(oldest);
    }
    EncodedEvent encoded = encode_event(event, namespace_, sandbox::WallClock::now());
    queue_.push_back({std::move(encoded.request), std::move(encoded.topic), 0});
    drained_.clear();
    not_empty_.set();
}

// A connection for as long as it lasts, and a growing pause between attempts.
Awaitable<> EventPublisher::run() {
    auto retry = first_retry;
    for (;;) {
        co_await not_empty_.wait();
        const std::size_t before = queue_.size();
        Status status;
        try {
            co_await run_connection();
        } catch (...) {
            status = to_status(std::current_exception());
        }
        if (queue_.size() < before) {
            retry = first_retry;
        }
        logger_.debug(
            "containerd does not take events, queueing them",
            {{"queued", queue_.size()}, {"error", status.message}}
        );
        asio::steady_timer timer(executor_, retry);
        co_await timer.async_wait(asio::use_awaitable);
        retry = std::min(retry * 2, last_retry);
    }
}

Awaitable<> EventPublisher::run_connection() {
    auto socket = co_await with_timeout(
        connect_unix(address_, SymbolicLinks::follow),
        deadline_in(call_timeout),
        "connect to containerd"
    );
    ttrpc::Client client(StreamSocket(std::move(socket)), logger_);
    TaskGroup connection(executor_, logger_);
    connection.spawn("event connection", client.run());
    std::exception_ptr failure;
    try {
        for (;;) {
            co_await not_empty_.wait();
            co_await send_front(client);
        }
    } catch (...) {
        failure = std::current_exception();
    }
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await client.stop();
    co_await connection.stop();
    co_await asio::this_coro::throw_if_cancelled(true);
    std::rethrow_exception(failure);
}

// The event leaves the queue only when containerd has it: delivered at least once, in order.
Awaitable<> EventPublisher::send_front(ttrpc::Client& client) {
    Status refusal;
    try {
        co_await client.call(
            service,
            "Forward",
            queue_.front().request,
            {.deadline = deadline_in(call_timeout), .metadata = {{namespace_key, namespace_}}}
        );
    } catch (const Error& error) {
        if (error.code() == Code::unavailable || client.is_closed() ||
            ++queue_.front().refusals < max_refusals) {
            throw;
        }
        refusal = {error.code(), error.message()};
    }
    if (refusal.code != Code::ok) {
        logger_.error(
            "Event dropped: containerd refuses it",
            {{"topic", queue_.front().topic}, {"error", refusal.message}}
        );
    }
    queue_.pop_front();
    if (queue_.empty()) {
        not_empty_.clear();
        drained_.set();
    }
}

Awaitable<> EventPublisher::wait_drained() {
    co_await drained_.wait();
}

Awaitable<> EventPublisher::stop(Deadline deadline) {
    try {
        co_await with_timeout(wait_drained(), deadline, "send queued events");
    } catch (const Error& error) {
        logger_.warn("Events lost", {{"queued", queue_.size()}, {"error", error.message()}});
    }
    co_await tasks_.stop();
}

} // namespace cppvm::api
