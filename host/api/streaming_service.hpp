#pragma once

#include "common/async/asio.hpp"
#include "common/ttrpc/service.hpp"

#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace cppvm::api {

/// containerd's Streaming service, which CRI's `io_type = "streaming"` expects of a sandbox's shim:
/// the URIs of a container's stdio then name the shim's own socket. So a stream of containerd's and
/// one of ours (host/io/streaming, by that address) meet here under one id, in whatever order, and
/// each gets the other's messages; what they say to each other, such as windows, is theirs.
///
/// An end in order ends the other stream likewise. One that is lost with its connection ends the
/// other with Unavailable, so that ours comes back and waits for containerd to do so, too.
class StreamingService : public ttrpc::Service {
  public:
    explicit StreamingService(const asio::any_io_executor& executor) : executor_(executor) {}

    std::string_view name() const override { return "containerd.services.streaming.v1.Streaming"; }
    Awaitable<std::string> dispatch(
        ttrpc::CallContext& context, std::string_view method, std::string_view payload
    ) override;
    Awaitable<>
    stream(ttrpc::CallContext& context, std::string_view method, ttrpc::Stream& stream) override;

  private:
    struct Meeting;

    std::shared_ptr<Meeting> join(const std::string& id, ttrpc::Stream& stream);

    asio::any_io_executor executor_;
    std::map<std::string, std::shared_ptr<Meeting>> waiting_; ///< for their second stream
};

} // namespace cppvm::api
