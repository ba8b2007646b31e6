#pragma once

#include "common/async/task_group.hpp"
#include "common/ttrpc/envelope.hpp"
#include "common/ttrpc/frame.hpp"
#include "proto/cppvm/agent.pb.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace cppvm::testing {

/// An agent made of frames, so that it can answer what no honest one would. For each call it does
/// what an agent does, but for the calls of one method, which a behaviour answers in its place.
/// Thread: the loop's only.
class HostileAgent {
  public:
    /// One call of the host's.
    struct Call {
        std::uint32_t stream = 0;
        std::string method;
        std::string payload;
    };
    using Behaviour = std::function<Awaitable<>(HostileAgent&, const Call&)>;

    HostileAgent(const asio::any_io_executor& executor, std::string method, Behaviour behaviour);

    /// Serves a connection until it ends or is cut off; there may be others after it.
    Awaitable<> serve(StreamSocket socket);
    void cut() noexcept;
    /// After `serve` has returned.
    Awaitable<> stop();

    // What behaviours are made of. Nothing is sent on a connection that has ended.
    Awaitable<> answer_honestly(Call call);
    Awaitable<> send(std::string bytes);
    Awaitable<> send_status(std::uint32_t stream, int code, std::string message);
    Awaitable<> send_reply(std::uint32_t stream, const google::protobuf::MessageLite& reply);
    /// An empty reply where one is expected, and nothing is done.
    Awaitable<> send_ok(const Call& call);
    Awaitable<> pause(std::chrono::milliseconds duration);

    /// Ends a process, as its kernel would, and tells of it.
    Awaitable<> exit(std::string container, std::string exec, std::uint32_t status);
    Awaitable<> exit_all(std::uint32_t status);

    std::size_t attacks = 0; ///< calls that the behaviour has answered

  private:
    using Key = std::pair<std::string, std::string>;

    Awaitable<> write();
    Awaitable<> handle(Call call);
    Awaitable<> read();
    Awaitable<> start_telling(const Call& call);
    Awaitable<> tell(agent::v2::Event event);
    Awaitable<> tell_wishes();
    Awaitable<> signal(const Call& call);
    Awaitable<> list(const Call& call);

    asio::any_io_executor executor_;
    std::string method_;
    Behaviour behaviour_;
    std::optional<StreamSocket> socket_;
    std::string outgoing_;
    Event more_;
    Event room_;
    std::map<Key, std::uint64_t> processes_; ///< with their numbers
    std::vector<agent::v2::Event> events_;   ///< all that there ever were
    std::uint32_t events_stream_ = 0;        ///< of Events, on the present connection
    TaskGroup tasks_;
};

} // namespace cppvm::testing
