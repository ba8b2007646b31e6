#pragma once

#include "common/async/task_group.hpp"
#include "common/ttrpc/server.hpp"
#include "common/wire/preamble.hpp"
#include "guest-agent/container/containers.hpp"
#include "guest-agent/service/container_service.hpp"
#include "guest-agent/service/environment.hpp"
#include "guest-agent/sockets/host_sockets.hpp"
#include "guest-agent/watches/watches.hpp"

namespace cppvm::guest {

/// The agent: takes the host's connections and serves them.
/// Owns: everything but the environment. Thread: the loop's only, and there is no other thread, so
/// that a cloned child is ordinary code up to its execve (setup/clone.hpp).
class Agent {
  public:
    Agent(const asio::any_io_executor& executor, Environment& environment, Logger logger);

    /// Listens, says hello, serves until `Environment::wait_end` returns; then takes everything
    /// down. Throws: Error when it cannot listen.
    Awaitable<> run();

  private:
    Awaitable<> accept(UniqueFd listener);
    Awaitable<> serve(StreamSocket socket);
    Awaitable<> serve_tcp(wire::Preamble preamble, StreamSocket socket);
    Awaitable<> serve_names(wire::Preamble preamble, StreamSocket socket);
    Awaitable<> serve_socket(wire::Preamble preamble, StreamSocket socket);
    void park(std::uint64_t id, StreamSocket socket);
    void resume(const wire::Preamble& preamble, StreamSocket socket);
    Awaitable<> say_hello();
    Awaitable<bool> try_hello(Deadline deadline);
    Awaitable<> stop();

    asio::any_io_executor executor_;
    Environment& environment_;
    Logger logger_;
    Reaper reaper_;
    StdioTable stdio_;
    HostSockets sockets_;
    Watches watches_;
    Pod pod_;
    Containers containers_;
    Clock clock_;
    ContainerService service_;
    ttrpc::Server server_;
    TaskGroup reaping_; // to the very end: the others wait for children to be reaped
    TaskGroup tasks_;
};

} // namespace cppvm::guest
