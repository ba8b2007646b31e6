#pragma once

#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"
#include "common/ttrpc/connection.hpp"
#include "common/ttrpc/envelope.hpp"
#include "common/ttrpc/service.hpp"
#include "common/ttrpc/stream_table.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

namespace cppvm::ttrpc {

class Server;

/// Counts the bytes of a request for as long as it lives.
class RequestCharge {
  public:
    RequestCharge(std::size_t& total, std::size_t bytes) : total_(&total), bytes_(bytes) {
        total += bytes;
    }
    RequestCharge(RequestCharge&& other) noexcept
        : total_(other.total_), bytes_(std::exchange(other.bytes_, 0)) {}
    RequestCharge(const RequestCharge&) = delete;
    RequestCharge& operator=(const RequestCharge&) = delete;
    RequestCharge& operator=(RequestCharge&&) = delete;
    ~RequestCharge() { *total_ -= bytes_; }

  private:
    std::size_t* total_;
    std::size_t bytes_;
};

/// The server's end of one connection. Part of Server.
/// Owns: the socket and the requests' coroutines.
class ServerConnection : private FrameSink {
  public:
    ServerConnection(Server& server, StreamSocket socket, const Logger& logger);
    ~ServerConnection() override;

    /// Serves until the connection ends and all its handlers have.
    /// Cancels: ends the connection; throws the cancellation after the handlers have ended.
    Awaitable<> run();
    void close() noexcept { connection_.close(); }

  private:
    Awaitable<> on_frame(Frame frame) override;
    Awaitable<> on_request(Frame frame);
    Awaitable<> on_data(Frame frame);
    /// Throws: Error with the status to answer.
    void accept(std::uint32_t id, Frame frame);

    Awaitable<> serve_unary(
        std::uint32_t id,
        std::string payload,
        CallContext context,
        Service& service,
        RequestCharge charge
    );
    Awaitable<> serve_stream(std::unique_ptr<Stream> stream, CallContext context, Service& service);

    /// Waits for room, then queues the reply.
    Awaitable<> reply(std::uint32_t id, Response response);
    Response failed(const std::exception_ptr& exception, const CallContext& context) const;

    Server& server_;
    Logger logger_;
    Connection connection_;
    StreamTable streams_;
    std::size_t request_bytes_ = 0;
    TaskGroup requests_;
};

} // namespace cppvm::ttrpc
