#include "common/base/error.hpp"
#include "common/ttrpc/server.hpp"
#include "host/api/event_publisher.hpp"
#include "proto/containerd/forward.ttrpc.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace cppvm::api {
namespace {

namespace forward = ::containerd::services::events::ttrpc::v1;

/// containerd's side: keeps the topics that arrive.
class FakeEvents : public forward::EventsService {
  public:
    explicit FakeEvents(const asio::any_io_executor& executor) : arrived(executor) {}

    Awaitable<::google::protobuf::Empty>
    forward(ttrpc::CallContext& context, const forward::ForwardRequest& request) override {
        EXPECT_EQ(context.metadata.at(0).first, "containerd-namespace-ttrpc");
        EXPECT_EQ(context.metadata.at(0).second, "ns");
        on_event(request.envelope().topic());
        topics.push_back(request.envelope().topic());
        if (topics.size() == expected) {
            arrived.set();
        }
        co_return ::google::protobuf::Empty();
    }

    std::function<void(const std::string&)> on_event = [](const std::string&) {};
    std::size_t expected = 0;
    std::vector<std::string> topics;
    Event arrived;
};

class EventPublisherTest : public ::testing::Test {
  protected:
    EventPublisherTest() { EXPECT_NE(::mkdtemp(directory_.data()), nullptr); }
    ~EventPublisherTest() override { std::filesystem::remove_all(directory_); }

    std::string socket() const { return directory_ + "/containerd.sock.ttrpc"; }

    std::string directory_ = "/tmp/cppvm-events-test-XXXXXX";
};

/// containerd that can go and come back.
struct Containerd {
    Containerd(const asio::any_io_executor& executor, std::string path, FakeEvents& service)
        : address(std::move(path)), server(executor, Logger()), tasks(executor, Logger()) {
        server.add(service);
        tasks.spawn(
            "serve",
            server.serve(asio::local::stream_protocol::acceptor(
                executor, asio::local::stream_protocol::endpoint(address)
            ))
        );
    }

    Awaitable<> stop() {
        co_await server.stop();
        co_await tasks.stop();
        std::filesystem::remove(address);
    }

    std::string address;
    ttrpc::Server server;
    TaskGroup tasks;
};

TEST_F(EventPublisherTest, DeliversInOrder) {
    testing::co_test([](std::string path) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        FakeEvents service(executor);
        Containerd containerd(executor, path, service);
        EventPublisher publisher(executor, Logger(), path, "ns");
        publisher.publish(sandbox::TaskCreated{});
        publisher.publish(sandbox::TaskStarted{});
        publisher.publish(sandbox::TaskExited{});
        co_await publisher.stop(deadline_in(std::chrono::seconds(10)));
        const std::vector<std::string> expected = {"/tasks/create", "/tasks/start", "/tasks/exit"};
        EXPECT_EQ(service.topics, expected);
        co_await containerd.stop();
    }(socket()));
}

TEST_F(EventPublisherTest, KeepsEventsWhileContainerdIsAway) {
    testing::co_test([](std::string path) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        FakeEvents service(executor);
        EventPublisher publisher(executor, Logger(), path, "ns");
        publisher.publish(sandbox::TaskCreated{}); // nobody listens yet
        {
            Containerd first(executor, path, service);
            service.expected = 1;
            co_await service.arrived.wait();
            co_await first.stop();
        }
        publisher.publish(sandbox::TaskStarted{});
        publisher.publish(sandbox::TaskExited{});
        Containerd second(executor, path, service);
        co_await publisher.stop(deadline_in(std::chrono::seconds(10)));
        // At least once: the first one's answer may have been lost with its connection.
        const auto repeated = std::unique(service.topics.begin(), service.topics.end());
        service.topics.erase(repeated, service.topics.end());
        const std::vector<std::string> expected = {"/tasks/create", "/tasks/start", "/tasks/exit"};
        EXPECT_EQ(service.topics, expected);
        co_await second.stop();
    }(socket()));
}

TEST_F(EventPublisherTest, GivesUpAnEventThatContainerdKeepsRefusing) {
    testing::co_test([](std::string path) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        FakeEvents service(executor);
        service.on_event = [](const std::string& topic) {
            if (topic == "/tasks/create") {
                throw Error(Code::invalid_argument, "no");
            }
        };
        Containerd containerd(executor, path, service);
        EventPublisher publisher(executor, Logger(), path, "ns");
        publisher.publish(sandbox::TaskCreated{});
        publisher.publish(sandbox::TaskStarted{});
        co_await publisher.stop(deadline_in(std::chrono::seconds(15)));
        EXPECT_EQ(service.topics, std::vector<std::string>{"/tasks/start"});
        co_await containerd.stop();
    }(socket()));
}

TEST_F(EventPublisherTest, EndsInTimeWithoutContainerd) {
    testing::co_test([](std::string path) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        EventPublisher publisher(executor, Logger(), path, "ns");
        publisher.publish(sandbox::TaskCreated{});
        co_await publisher.stop(deadline_in(std::chrono::milliseconds(20)));
    }(socket()));
}

TEST_F(EventPublisherTest, PublishesNothingWithoutAnAddress) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        EventPublisher publisher(executor, Logger(), "", "ns");
        publisher.publish(sandbox::TaskCreated{});
        co_await publisher.stop(deadline_in(std::chrono::seconds(10)));
    }());
}

} // namespace
} // namespace cppvm::api
