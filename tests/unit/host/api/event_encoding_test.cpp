#include "host/api/event_encoding.hpp"
#include "proto/containerd/events.pb.h"
#include "proto/containerd/forward.pb.h"

#include <gtest/gtest.h>

namespace cppvm::api {
namespace {

using ::containerd::services::events::ttrpc::v1::ForwardRequest;

TEST(EventEncodingTest, WrapsAnExitAsContainerdReadsIt) {
    const auto exited_at = sandbox::WallClock::time_point(std::chrono::nanoseconds(1'500'000'007));
    const auto now = sandbox::WallClock::time_point(std::chrono::seconds(9));
    const auto encoded =
        encode_event(sandbox::TaskExited{"c1", "e1", 42, {137, exited_at}}, "k8s.io", now);
    EXPECT_EQ(encoded.topic, "/tasks/exit");
    ForwardRequest request;
    ASSERT_TRUE(request.ParseFromString(encoded.request));
    EXPECT_EQ(request.envelope().namespace_(), "k8s.io");
    EXPECT_EQ(request.envelope().topic(), "/tasks/exit");
    EXPECT_EQ(request.envelope().timestamp().seconds(), 9);
    EXPECT_EQ(request.envelope().event().type_url(), "containerd.events.TaskExit");
    ::containerd::events::TaskExit exit;
    ASSERT_TRUE(exit.ParseFromString(request.envelope().event().value()));
    EXPECT_EQ(exit.container_id(), "c1");
    EXPECT_EQ(exit.id(), "e1");
    EXPECT_EQ(exit.pid(), 42U);
    EXPECT_EQ(exit.exit_status(), 137U);
    EXPECT_EQ(exit.exited_at().seconds(), 1);
    EXPECT_EQ(exit.exited_at().nanos(), 500'000'007);
}

TEST(EventEncodingTest, UsesTheTopicOfEachEvent) {
    const auto topic = [](const sandbox::TaskEvent& event) {
        return encode_event(event, "ns", {}).topic;
    };
    EXPECT_EQ(topic(sandbox::TaskCreated{}), "/tasks/create");
    EXPECT_EQ(topic(sandbox::TaskStarted{}), "/tasks/start");
    EXPECT_EQ(topic(sandbox::ExecAdded{}), "/tasks/exec-added");
    EXPECT_EQ(topic(sandbox::ExecStarted{}), "/tasks/exec-started");
    EXPECT_EQ(topic(sandbox::TaskExited{}), "/tasks/exit");
    EXPECT_EQ(topic(sandbox::TaskDeleted{}), "/tasks/delete");
}

TEST(EventEncodingTest, CarriesRootfsAndStdioOfACreatedTask) {
    sandbox::TaskCreated created;
    created.container_id = "c1";
    created.rootfs = {{"overlay", "overlay", "", {"lowerdir=/a", "ro"}}};
    created.stdout_uri = "/fifo";
    created.terminal = true;
    ForwardRequest request;
    ASSERT_TRUE(request.ParseFromString(encode_event(created, "ns", {}).request));
    ::containerd::events::TaskCreate event;
    ASSERT_TRUE(event.ParseFromString(request.envelope().event().value()));
    EXPECT_EQ(event.rootfs(0).type(), "overlay");
    EXPECT_EQ(event.rootfs(0).options(1), "ro");
    EXPECT_EQ(event.io().stdout(), "/fifo");
    EXPECT_TRUE(event.io().terminal());
}

} // namespace
} // namespace cppvm::api
