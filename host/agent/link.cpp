#include "host/agent/link.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "host/agent/dial.hpp"

#include <boost/asio/steady_timer.hpp>

#include <utility>

namespace cppvm::agent {

Awaitable<std::shared_ptr<Link>> Link::open(
    vm::VirtualMachine& machine,
    Logger logger,
    Limits limits,
    std::function<void(const v2::Event&)> on_event,
    Deadline deadline
) {
    auto executor = co_await asio::this_coro::executor;
    auto dialled = co_await dial(machine, {wire::ConnectionKind::rpc, 0, 0}, deadline);
    if (!dialled) {
        throw Error(
            Code::failed_precondition, "open connection to guest agent: the agent refused it"
        );
    }
    auto connection = std::make_shared<Connection>(executor, std::move(dialled->socket), logger);
    co_return std::make_shared<Link>(
        executor, machine, std::move(logger), limits, std::move(on_event), std::move(connection)
    );
}

Link::Link(
    const asio::any_io_executor& executor,
    vm::VirtualMachine& machine,
    Logger logger,
    Limits limits,
    std::function<void(const v2::Event&)> on_event,
    std::shared_ptr<Connection> first
)
    : executor_(executor), machine_(machine), logger_(logger), limits_(limits),
      on_event_(std::move(on_event)), connection_(std::move(first)), changed_(executor),
      lost_(executor), tasks_(executor, std::move(logger)) {
    tasks_.spawn("agent link", keep());
}

Awaitable<> Link::keep() {
    for (;;) {
        co_await follow_events(connection_);
        co_await connection_->stop();
        logger_.info(
            "Connection to guest agent lost, reconnecting", {{"error", connection_->violation()}}
        );
        auto next = co_await redial();
        if (!next) {
            co_return;
        }
        connection_ = std::move(next);
        changed_.set();
    }
}

// Until the connection has ended, or carries no events any more.
Awaitable<> Link::follow_events(std::shared_ptr<Connection> connection) {
    try {
        v2::EventsRequest request;
        request.set_seen(events_seen_);
        auto events = co_await connection->rpc().events(request);
        while (const auto event = co_await events.receive()) {
            hear(*event);
        }
    } catch (const Error& error) {
        logger_.debug("No more events from guest agent", {{"error", error.message()}});
    }
}

// The guest may report anything: what it has reported before is ignored, and so are processes that
// nobody waits for.
void Link::hear(const v2::Event& event) {
    if (event.sequence() != 0) {
        if (event.sequence() <= events_seen_) {
            return;
        }
        events_seen_ = event.sequence();
    }
    if (event.has_exited()) {
        const auto node = processes_.extract(event.exited().process_number());
        if (const auto process = node ? node.mapped().lock() : nullptr) {
            process->exit_status = event.exited().exit_status();
            process->exited.set();
        }
    } else {
        on_event_(event);
    }
}

Awaitable<std::shared_ptr<Connection>> Link::redial() {
    if (!may_redial()) {
        lose("the guest agent keeps breaking its connection");
        co_return nullptr;
    }
    const Deadline deadline = deadline_in(limits_.reconnect);
    Status failure;
    while (std::chrono::steady_clock::now() < deadline) {
        co_await pause();
        try {
            auto dialled = co_await dial(machine_, {wire::ConnectionKind::rpc, 0, 0}, deadline);
            if (dialled) {
                co_return std::make_shared<Connection>(
                    executor_, std::move(dialled->socket), logger_
                );
            }
            failure = {Code::failed_precondition, "the agent refused a new one"};
        } catch (const Error& error) {
            failure = {error.code(), error.message()};
        }
    }
    lose("the connection to the guest agent is lost: " + failure.message);
    co_return nullptr;
}

bool Link::may_redial() {
    const auto now = std::chrono::steady_clock::now();
    while (!redials_.empty() && now - redials_.front() > limits_.redial_period) {
        redials_.pop_front();
    }
    redials_.push_back(now);
    return redials_.size() <= limits_.redials;
}

Awaitable<> Link::pause() {
    asio::steady_timer timer(executor_, limits_.pause);
    co_await timer.async_wait(asio::use_awaitable);
}

Awaitable<std::shared_ptr<Connection>> Link::connected(Deadline deadline) {
    while (connection_->is_closed()) {
        if (lost_.is_set()) {
            throw Error(Code::unavailable, lost_reason_);
        }
        changed_.clear();
        co_await with_timeout(changed_.wait(), deadline, "wait for connection to guest agent");
    }
    co_return connection_;
}

// `unavailable` is never the guest's own word: see `from_guest`.
void Link::check_repeat(const Error& error, Repeat repeat) {
    if (error.code() != Code::unavailable) {
        throw error;
    }
    if (repeat == Repeat::no) {
        throw Error(Code::unavailable, "the connection to the guest agent broke during the call");
    }
}

std::shared_ptr<GuestProcess> Link::new_process() {
    std::erase_if(processes_, [](const auto& entry) { return entry.second.expired(); });
    auto process = std::make_shared<GuestProcess>(executor_, ++last_process_);
    processes_.emplace(process->number, process);
    return process;
}

Awaitable<StreamSocket> Link::open_stream(std::uint64_t id, Deadline deadline) {
    const auto self = shared_from_this();
    auto dialled = co_await dial(machine_, {wire::ConnectionKind::stdio, id, 0}, deadline);
    if (!dialled) {
        throw Error(Code::failed_precondition, "open stdio stream: the guest agent refused it");
    }
    co_return std::move(dialled->socket);
}

Awaitable<std::optional<StreamSocket>>
Link::open_tcp(std::uint16_t port, bool ipv6, Deadline deadline) {
    const std::uint64_t family = ipv6 ? 6 : 4;
    return open_if_accepted({wire::ConnectionKind::tcp, port, family}, deadline);
}

Awaitable<std::optional<StreamSocket>>
Link::open_names(asio::ip::address address, Deadline deadline) {
    if (address.is_v4()) {
        return open_if_accepted(
            {wire::ConnectionKind::names, address.to_v4().to_uint(), 4}, deadline
        );
    }
    return open_if_accepted({wire::ConnectionKind::names, 0, 6}, deadline);
}

Awaitable<std::optional<StreamSocket>>
Link::open_socket(std::uint64_t connection, bool taken, Deadline deadline) {
    const std::uint64_t word = taken ? 1 : 0;
    return open_if_accepted({wire::ConnectionKind::socket, connection, word}, deadline);
}

Awaitable<std::optional<StreamSocket>>
Link::open_if_accepted(wire::Preamble preamble, Deadline deadline) {
    const auto self = shared_from_this();
    auto dialled = co_await dial(machine_, preamble, deadline);
    if (!dialled) {
        co_return std::nullopt;
    }
    co_return std::move(dialled->socket);
}

Awaitable<std::optional<stream::Connection>>
Link::resume_stream(std::uint64_t id, std::uint64_t received) {
    const auto self = shared_from_this();
    const Deadline deadline = deadline_in(limits_.resume);
    while (!lost_.is_set() && std::chrono::steady_clock::now() < deadline) {
        co_await pause();
        if (lost_.is_set()) {
            break;
        }
        try {
            auto dialled =
                co_await dial(machine_, {wire::ConnectionKind::resume, id, received}, deadline);
            if (!dialled) {
                break;
            }
            logger_.debug("Stdio stream resumed", {{"stream", id}, {"received", received}});
            co_return stream::Connection{
                std::make_shared<StreamSocket>(std::move(dialled->socket)), dialled->received
            };
        } catch (const Error& error) {
            logger_.debug("Stdio stream not resumed yet", {{"error", error.message()}});
        }
    }
    co_return std::nullopt;
}

Awaitable<std::string> Link::wait_lost() {
    const auto self = shared_from_this();
    co_await lost_.wait();
    co_return lost_reason_;
}

void Link::lose(std::string reason) noexcept {
    if (!lost_.is_set()) {
        lost_reason_ = std::move(reason);
        lost_.set();
        changed_.set();
    }
}

Awaitable<> Link::stop() {
    const auto self = shared_from_this();
    lose("the virtual machine has ended");
    co_await tasks_.stop();
    co_await connection_->stop();
}

} // namespace cppvm::agent
