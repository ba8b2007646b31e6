#pragma once

#include "common/async/asio.hpp"
#include "common/async/event.hpp"
#include "common/wire/name_message.hpp"

#include <deque>
#include <functional>
#include <string>

namespace cppvm::stream {

/// One end of a connection that carries wire::NameMessages. What finds the queue full is dropped,
/// as DNS expects of a network. Thread: the loop's only.
class NameConnection {
  public:
    explicit NameConnection(StreamSocket socket);

    void send(const wire::NameMessage& message);

    /// Sends, and calls `hear` for what comes, until the connection breaks or brings nonsense.
    /// Returns then. Cancels: the connection is of no further use.
    Awaitable<> run(std::function<void(wire::NameMessage)> hear);

  private:
    Awaitable<> write_all();
    Awaitable<> read_all(const std::function<void(wire::NameMessage)>& hear);

    StreamSocket socket_;
    std::deque<std::string> queue_;
    Event more_;
};

} // namespace cppvm::stream
