#include "common/os/unix_connection.hpp"
#include "guest-agent/service/event_subscription.hpp"
#include "proto/cppvm/agent.ttrpc.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/common/ttrpc/link.hpp"

#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <memory>
#include <unistd.h>

namespace cppvm::guest {
namespace {

using testing::co_test;

/// Answers Events from a log, and nothing else.
class EventService : public agent::v2::AgentService {
  public:
    Awaitable<> events(
        ttrpc::CallContext&,
        const agent::v2::EventsRequest& request,
        ttrpc::ReplyWriter<agent::v2::Event>& events
    ) override {
        const auto mine = std::make_shared<EventSubscription>(
            co_await asio::this_coro::executor, log, listening, sockets, request.seen()
        );
        subscription = mine;
        co_await mine->run(events);
    }

    /// As of a process that has exited.
    void append(std::uint64_t process) {
        agent::v2::Event event;
        event.mutable_exited()->set_process_number(process);
        log.append(std::move(event));
        if (subscription) {
            subscription->wake();
        }
    }

    explicit EventService(const asio::any_io_executor& executor)
        : sockets(executor, Logger(), dir.path()) {
        sockets.set_on_waiting([this] { subscription->wake(); });
    }

    testing::TempDir dir;
    HostSockets sockets;
    EventLog log;
    agent::v2::Event::Listening listening;
    std::shared_ptr<EventSubscription> subscription;
};

struct Bench {
    explicit Bench(const asio::any_io_executor& executor) : service(executor), link(executor) {
        link.server.add(service);
    }

    EventService service;
    ttrpc::testing::Link link;
    agent::v2::AgentClient client{*link.client};
};

TEST(EventSubscriptionTest, TellsWhatIsThereAndWhatComes) {
    co_test([]() -> Awaitable<> {
        Bench bench(co_await asio::this_coro::executor);
        bench.service.append(11);
        bench.service.append(12);
        agent::v2::EventsRequest request;
        request.set_seen(1);
        auto events = co_await bench.client.events(request);
        auto event = co_await events.receive();
        EXPECT_EQ(event->exited().process_number(), 12U);
        event = co_await events.receive();
        EXPECT_TRUE(event->has_listening());
        bench.service.append(13); // while it waits
        event = co_await events.receive();
        EXPECT_EQ(event->sequence(), 3U);
        EXPECT_EQ(event->exited().process_number(), 13U);
        co_await bench.link.stop();
    }());
}

TEST(EventSubscriptionTest, TellsWhatWaitsForTheHostInEachCall) {
    co_test([]() -> Awaitable<> {
        Bench bench(co_await asio::this_coro::executor);
        HostSockets& sockets = bench.service.sockets;
        auto first = co_await bench.client.events(agent::v2::EventsRequest());
        co_await first.receive(); // the ports
        const auto listening = sockets.listen({5, ::geteuid(), ::getegid(), 0600});
        auto one = co_await connect_unix(bench.service.dir / "5");
        auto event = co_await first.receive();
        EXPECT_EQ(event->socket_connection().socket(), 5U);
        EXPECT_EQ(event->socket_connection().connection(), 1U);
        auto two = co_await connect_unix(bench.service.dir / "5");
        event = co_await first.receive();
        EXPECT_EQ(event->socket_connection().connection(), 2U);

        sockets.take(1);
        auto second = co_await bench.client.events(agent::v2::EventsRequest());
        co_await second.receive();
        event = co_await second.receive();
        EXPECT_EQ(event->socket_connection().connection(), 2U);
        co_await bench.link.stop();
        co_await sockets.stop();
    }());
}

TEST(EventSubscriptionTest, TellsThePortsAtFirstAndAfterEachChange) {
    co_test([]() -> Awaitable<> {
        Bench bench(co_await asio::this_coro::executor);
        bench.service.listening.add_ports()->set_port(22);
        auto events = co_await bench.client.events(agent::v2::EventsRequest());
        auto event = co_await events.receive();
        EXPECT_EQ(event->listening().ports_size(), 1);
        EXPECT_EQ(event->sequence(), 0U); // not of the log, so nothing to confirm
        bench.service.listening.add_ports()->set_port(80);
        bench.service.subscription->tell_listening();
        event = co_await events.receive();
        EXPECT_EQ(event->listening().ports(0).port(), 22U);
        EXPECT_EQ(event->listening().ports(1).port(), 80U);
        co_await bench.link.stop();
    }());
}

TEST(EventSubscriptionTest, EndsWhenAnotherTakesItsPlace) {
    co_test([]() -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        Bench bench(executor);
        auto events = co_await bench.client.events(agent::v2::EventsRequest());
        while (!bench.service.subscription) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        co_await events.receive(); // the ports
        bench.service.subscription->supersede();
        const auto end = co_await events.receive();
        EXPECT_FALSE(end.has_value());
        co_await bench.link.stop();
    }());
}

} // namespace
} // namespace cppvm::guest
