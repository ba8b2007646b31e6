#pragma once

#include "host/sandbox/task_event.hpp"

#include <google/protobuf/timestamp.pb.h>

namespace cppvm::api {

/// Fills a protobuf timestamp (seconds and nanoseconds after 1970-01-01 UTC).
void set_timestamp(google::protobuf::Timestamp& to, sandbox::WallClock::time_point from);

} // namespace cppvm::api
