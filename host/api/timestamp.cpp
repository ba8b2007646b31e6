#include "host/api/timestamp.hpp"

namespace cppvm::api {

void set_timestamp(google::protobuf::Timestamp& to, sandbox::WallClock::time_point from) {
    const auto since_epoch = from.time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
    to.set_seconds(seconds.count());
    to.set_nanos(static_cast<std::int32_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(since_epoch - seconds).count()
    ));
}

} // namespace cppvm::api
