#include "common/async/timeout.hpp"
#include "common/ttrpc/stub.hpp"
#include "proto/containerd/task.ttrpc.hpp"
#include "proto/cppvm/agent.ttrpc.hpp"
#include "tests/support/co_test.hpp"
#include "tests/unit/common/ttrpc/link.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::ttrpc::testing {

namespace {

using cppvm::testing::co_test;
using ::testing::HasSubstr;

class FakeAgent : public agent::v2::AgentService {
  public:
    Awaitable<agent::v2::CreateContainerResponse> create_container(
        CallContext& context, const agent::v2::CreateContainerRequest& request
    ) override {
        EXPECT_EQ(context.method, "CreateContainer");
        if (request.container_id().empty()) {
            throw Error(Code::invalid_argument, "create container: no id");
        }
        agent::v2::CreateContainerResponse response;
        response.set_pid(static_cast<int>(request.container_id().size()));
        response.add_unsupported("linux.intelRdt");
        co_return response;
    }

    // `seen` 99: fails after the first message.
    Awaitable<> events(
        CallContext& context,
        const agent::v2::EventsRequest& request,
        ReplyWriter<agent::v2::Event>& events
    ) override {
        EXPECT_EQ(context.method, "Events");
        agent::v2::Event event;
        event.set_sequence(request.seen() + 1);
        co_await events.send(event);
        if (request.seen() == 99) {
            throw Error(Code::unavailable, "events: lost");
        }
        event.mutable_exited()->set_exit_status(7);
        co_await events.send(event);
    }

    Awaitable<agent::v2::SetClockResponse>
    set_clock(CallContext&, const agent::v2::SetClockRequest&) override {
        co_return agent::v2::SetClockResponse();
    }
};

class FakeTask : public ::containerd::task::v3::TaskService {
  public:
    Awaitable<::containerd::task::v3::DeleteResponse>
    delete_(CallContext&, const ::containerd::task::v3::DeleteRequest& request) override {
        ::containerd::task::v3::DeleteResponse response;
        response.set_exit_status(static_cast<std::uint32_t>(request.id().size()));
        co_return response;
    }
};

TEST(StubTest, CallsTravelAsMessages) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        FakeAgent agent;
        EXPECT_EQ(agent.name(), "cppvm.agent.v2.Agent");
        link.server.add(agent);
        agent::v2::AgentClient client(*link.client);
        agent::v2::CreateContainerRequest request;
        request.set_container_id("abc");
        auto call = client.create_container(request);
        request.set_container_id("changed after the call was made");
        const auto response = co_await std::move(call);
        EXPECT_EQ(response.pid(), 3);
        EXPECT_EQ(response.unsupported(0), "linux.intelRdt");
        co_await client.set_clock(
            {}, {.deadline = deadline_in(std::chrono::seconds(10)), .metadata = {}}
        );
        co_await link.stop();
    }());
}

TEST(StubTest, RepliesOfAStreamTravelAsMessages) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        FakeAgent agent;
        link.server.add(agent);
        agent::v2::AgentClient client(*link.client);
        agent::v2::EventsRequest request;
        request.set_seen(1);
        {
            auto events = co_await client.events(request);
            const auto first = co_await events.receive();
            EXPECT_EQ(first->sequence(), 2U);
            const auto exited = co_await events.receive();
            EXPECT_EQ(exited->exited().exit_status(), 7U);
            EXPECT_FALSE(co_await events.receive());
        }
        request.set_seen(99);
        {
            auto events = co_await client.events(request);
            const auto first = co_await events.receive();
            EXPECT_EQ(first->sequence(), 100U);
            const Status lost = co_await status_of(events.receive());
            EXPECT_EQ(lost, (Status{Code::unavailable, "events: lost"}));
        }
        {
            // Nobody wants to know: what comes is dropped, and the connection goes on.
            static_cast<void>(co_await client.events(request));
        }
        co_await client.set_clock({});
        co_await link.stop();
    }());
}

TEST(StubTest, MethodsThatStreamAreUnimplementedUnlessOverridden) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        agent::v2::AgentService nothing;
        link.server.add(nothing);
        agent::v2::AgentClient client(*link.client);
        auto events = co_await client.events({});
        const Status missing = co_await status_of(events.receive());
        EXPECT_EQ(missing, (Status{Code::unimplemented, "method Events"}));
        co_await link.stop();
    }());
}

TEST(StubTest, ErrorsPassThrough) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        FakeAgent agent;
        link.server.add(agent);
        agent::v2::AgentClient client(*link.client);
        const Status refused = co_await status_of(client.create_container({}));
        EXPECT_EQ(refused, (Status{Code::invalid_argument, "create container: no id"}));
        const Status missing = co_await status_of(client.start_container({}));
        EXPECT_EQ(missing, (Status{Code::unimplemented, "method StartContainer"}));
        co_await link.stop();
    }());
}

TEST(StubTest, MalformedMessagesAreErrorsOfTheirSender) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        FakeAgent agent;
        link.server.add(agent);
        link.server.add(link.service, "test.v1.Fake");
        const Status request = co_await status_of(
            link.client->call("cppvm.agent.v2.Agent", "CreateContainer", "\xff\xff noise")
        );
        EXPECT_EQ(request.code, Code::invalid_argument);
        EXPECT_THAT(request.message, HasSubstr("cppvm.agent.v2.Agent/CreateContainer"));
        const Status method =
            co_await status_of(link.client->call("cppvm.agent.v2.Agent", "Nothing", ""));
        EXPECT_EQ(method, (Status{Code::unimplemented, "method Nothing"}));
        const Status reply =
            co_await status_of(stub::call_unary<agent::v2::CreateContainerResponse>(
                *link.client, "test.v1.Fake", "Echo", "\xff", {}
            ));
        EXPECT_EQ(reply.code, Code::internal);
        EXPECT_THAT(reply.message, HasSubstr("call test.v1.Fake/Echo: the reply is not a valid"));
        co_await link.stop();
    }());
}

TEST(StubTest, OneServiceAnswersUnderTwoNames) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        FakeTask task;
        link.server.add(task);
        link.server.add(task, "containerd.task.v2.Task");
        ::containerd::task::v3::DeleteRequest request;
        request.set_id("four");
        for (const std::string name : {"containerd.task.v2.Task", "containerd.task.v3.Task"}) {
            ::containerd::task::v3::TaskClient client(*link.client, name);
            const auto response = co_await client.delete_(request);
            EXPECT_EQ(response.exit_status(), 4U);
        }
        co_await link.stop();
    }());
}

} // namespace

} // namespace cppvm::ttrpc::testing
