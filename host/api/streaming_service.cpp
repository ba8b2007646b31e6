#include "host/api/streaming_service.hpp"

#include "common/async/event.hpp"
#include "common/async/first_of.hpp"
#include "common/base/error.hpp"
#include "common/ttrpc/stream.hpp"
#include "proto/containerd/streaming.pb.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/empty.pb.h>

#include <array>
#include <exception>
#include <optional>

namespace cppvm::api {

namespace {

constexpr std::size_t max_id = 256;

std::string read_id(const std::optional<std::string>& first) {
    google::protobuf::Any any;
    ::containerd::services::streaming::v1::StreamInit init;
    if (!first || !any.ParseFromString(*first) || !init.ParseFromString(any.value()) ||
        init.id().empty() || init.id().size() > max_id) {
        throw Error(Code::invalid_argument, "open a stream: it does not begin with its id");
    }
    return init.id();
}

std::string acknowledgement() {
    google::protobuf::Any any;
    any.set_type_url(google::protobuf::Empty().GetTypeName());
    return any.SerializeAsString();
}

} // namespace

/// Two streams of one id. Neither leaves before the other has stopped to use it.
struct StreamingService::Meeting {
    explicit Meeting(const asio::any_io_executor& executor)
        : complete(executor), over(executor), left(executor) {}

    Awaitable<> pump(ttrpc::Stream& from) {
        ttrpc::Stream& to = *streams[streams[0] == &from ? 1 : 0];
        while (const auto message = co_await from.receive()) {
            co_await to.send(*message);
        }
        ended_in_order = true;
    }

    void leave() noexcept {
        over.set();
        if (--present == 0) {
            left.set();
        }
    }

    std::array<ttrpc::Stream*, 2> streams{};
    int present = 2;
    bool ended_in_order = false;
    Event complete;
    Event over;
    Event left;
};

Awaitable<std::string> StreamingService::dispatch(
    ttrpc::CallContext& /*context*/, std::string_view method, std::string_view /*payload*/
) {
    ttrpc::throw_unknown_method(method);
}

std::shared_ptr<StreamingService::Meeting>
StreamingService::join(const std::string& id, ttrpc::Stream& stream) {
    if (auto found = waiting_.extract(id)) {
        found.mapped()->streams[1] = &stream;
        found.mapped()->complete.set();
        return std::move(found.mapped());
    }
    auto meeting = std::make_shared<Meeting>(executor_);
    meeting->streams[0] = &stream;
    waiting_.emplace(id, meeting);
    return meeting;
}

Awaitable<> StreamingService::stream(
    ttrpc::CallContext& /*context*/, std::string_view method, ttrpc::Stream& stream
) {
    if (method != "Stream") {
        ttrpc::throw_unknown_method(method);
    }
    const auto first = co_await stream.receive();
    const std::string id = read_id(first);
    co_await stream.send(acknowledgement());
    const auto meeting = join(id, stream);
    std::exception_ptr failure;
    try {
        co_await meeting->complete.wait();
        co_await first_of(meeting->pump(stream), meeting->over.wait());
    } catch (...) {
        failure = std::current_exception();
    }
    if (!meeting->complete.is_set()) {
        waiting_.erase(id);
        std::rethrow_exception(failure);
    }
    meeting->leave();
    // Its connection may have ended, and this coroutine been cancelled.
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await meeting->left.wait_uninterrupted();
    co_await asio::this_coro::throw_if_cancelled(true);
    if (failure) {
        std::rethrow_exception(failure);
    }
    if (!meeting->ended_in_order) {
        throw Error(Code::unavailable, "stream " + id + ": the other end is lost");
    }
}

} // namespace cppvm::api
