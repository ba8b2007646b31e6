#pragma once

#include "common/base/error.hpp"
#include "common/ttrpc/stream.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace cppvm::ttrpc {

/// The client's end of a method that answers with a stream of messages.
/// Owns: the stream, so it must not outlive the client. Thread: the loop's only.
template <class Response>
class ReplyReader {
  public:
    /// For generated stubs. `name` is "service/method".
    ReplyReader(std::unique_ptr<Stream> stream, std::string name)
        : stream_(std::move(stream)), name_(std::move(name)) {}

    /// The next message, or nothing after the last.
    /// Throws: as Stream::receive; Error (internal) when it is no such message. Cancels: nothing is
    /// lost, the next `receive` goes on.
    Awaitable<std::optional<Response>> receive() {
        const auto payload = co_await stream_->receive();
        if (!payload) {
            co_return std::nullopt;
        }
        Response response;
        if (!response.ParseFromString(*payload)) {
            throw Error(Code::internal, "call " + name_ + ": malformed reply");
        }
        co_return response;
    }

  private:
    std::unique_ptr<Stream> stream_;
    std::string name_;
};

/// What the handler of such a method sends its messages to; its return ends the stream.
template <class Response>
class ReplyWriter {
  public:
    explicit ReplyWriter(Stream& stream) : stream_(stream) {}

    /// Throws: as Stream::send.
    Awaitable<> send(const Response& response) {
        co_await stream_.send(response.SerializeAsString());
    }

  private:
    Stream& stream_;
};

} // namespace cppvm::ttrpc
