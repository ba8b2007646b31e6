#pragma once

#include "host/sandbox/task_event.hpp"

#include <string>

namespace cppvm::api {

/// An event as containerd takes it.
struct EncodedEvent {
    std::string topic;   ///< "/tasks/create"
    std::string request; ///< serialized ForwardRequest
};

/// `now` becomes the envelope's timestamp. Topics and messages: contract section 6, that is
/// containerd's api/events and runtime events.go.
EncodedEvent encode_event(
    const sandbox::TaskEvent& event,
    const std::string& containerd_namespace,
    sandbox::WallClock::time_point now
);

} // namespace cppvm::api
