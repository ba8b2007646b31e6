#include "host/api/event_encoding.hpp"

#include "host/api/timestamp.hpp"
#include "proto/containerd/events.pb.h"
#include "proto/containerd/forward.pb.h"

namespace cppvm::api {

namespace {

namespace events = ::containerd::events;

// One overload for each event: fills the message, gives the topic.

const char* fill(events::TaskCreate& message, const sandbox::TaskCreated& event) {
    message.set_container_id(event.container_id);
    message.set_bundle(event.bundle);
    for (const auto& mount : event.rootfs) {
        auto* added = message.add_rootfs();
        added->set_type(mount.type);
        added->set_source(mount.source);
        added->set_target(mount.target);
        for (const auto& option : mount.options) {
            added->add_options(option);
        }
    }
    message.mutable_io()->set_stdin(event.stdin_uri);
    message.mutable_io()->set_stdout(event.stdout_uri);
    message.mutable_io()->set_stderr(event.stderr_uri);
    message.mutable_io()->set_terminal(event.terminal);
    message.set_pid(static_cast<std::uint32_t>(event.pid));
    return "/tasks/create";
}

const char* fill(events::TaskStart& message, const sandbox::TaskStarted& event) {
    message.set_container_id(event.container_id);
    message.set_pid(static_cast<std::uint32_t>(event.pid));
    return "/tasks/start";
}

const char* fill(events::TaskExecAdded& message, const sandbox::ExecAdded& event) {
    message.set_container_id(event.container_id);
    message.set_exec_id(event.exec_id);
    return "/tasks/exec-added";
}

const char* fill(events::TaskExecStarted& message, const sandbox::ExecStarted& event) {
    message.set_container_id(event.container_id);
    message.set_exec_id(event.exec_id);
    message.set_pid(static_cast<std::uint32_t>(event.pid));
    return "/tasks/exec-started";
}

const char* fill(events::TaskExit& message, const sandbox::TaskExited& event) {
    message.set_container_id(event.container_id);
    message.set_id(event.id);
    message.set_pid(static_cast<std::uint32_t>(event.pid));
    message.set_exit_status(event.exit.status);
    set_timestamp(*message.mutable_exited_at(), event.exit.at);
    return "/tasks/exit";
}

const char* fill(events::TaskDelete& message, const sandbox::TaskDeleted& event) {
    message.set_container_id(event.container_id);
    message.set_pid(static_cast<std::uint32_t>(event.pid));
    message.set_exit_status(event.exit.status);
    set_timestamp(*message.mutable_exited_at(), event.exit.at);
    return "/tasks/delete";
}

const char* fill(events::TaskPaused& message, const sandbox::TaskPaused& event) {
    message.set_container_id(event.container_id);
    return "/tasks/paused";
}

const char* fill(events::TaskResumed& message, const sandbox::TaskResumed& event) {
    message.set_container_id(event.container_id);
    return "/tasks/resumed";
}

const char* fill(events::TaskOOM& message, const sandbox::TaskOutOfMemory& event) {
    message.set_container_id(event.container_id);
    return "/tasks/oom";
}

// The message of each event.
events::TaskCreate message_for(const sandbox::TaskCreated&) {
    return {};
}
events::TaskStart message_for(const sandbox::TaskStarted&) {
    return {};
}
events::TaskExecAdded message_for(const sandbox::ExecAdded&) {
    return {};
}
events::TaskExecStarted message_for(const sandbox::ExecStarted&) {
    return {};
}
events::TaskExit message_for(const sandbox::TaskExited&) {
    return {};
}
events::TaskDelete message_for(const sandbox::TaskDeleted&) {
    return {};
}
events::TaskPaused message_for(const sandbox::TaskPaused&) {
    return {};
}
events::TaskResumed message_for(const sandbox::TaskResumed&) {
    return {};
}
events::TaskOOM message_for(const sandbox::TaskOutOfMemory&) {
    return {};
}

} // namespace

EncodedEvent encode_event(
    const sandbox::TaskEvent& event,
    const std::string& containerd_namespace,
    sandbox::WallClock::time_point now
) {
    ::containerd::services::events::ttrpc::v1::ForwardRequest request;
    auto& envelope = *request.mutable_envelope();
    set_timestamp(*envelope.mutable_timestamp(), now);
    envelope.set_namespace_(containerd_namespace);
    const auto encode = [&envelope](const auto& concrete) {
        auto message = message_for(concrete);
        envelope.set_topic(fill(message, concrete));
        // containerd names types in Any without the usual "type.googleapis.com/".
        envelope.mutable_event()->set_type_url(message.GetTypeName());
        envelope.mutable_event()->set_value(message.SerializeAsString());
    };
    std::visit(encode, event);
    return {envelope.topic(), request.SerializeAsString()};
}

} // namespace cppvm::api
