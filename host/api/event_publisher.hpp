#pragma once

#include "common/async/task_group.hpp"
#include "common/ttrpc/client.hpp"
#include "host/sandbox/task_event.hpp"

#include <deque>
#include <memory>
#include <string>

namespace cppvm::api {

/// Forwards events to containerd (service containerd.services.events.ttrpc.v1.Events; contract 6):
/// one queue, one sender, so the order of `publish` is the order in which containerd gets them.
/// While containerd is away the queue waits; it holds `max_queued` events, then drops the oldest.
/// Thread: the loop's only.
class EventPublisher : public sandbox::TaskEventSink {
  public:
    static constexpr std::size_t max_queued = 8192;

    /// `address`: path of containerd's ttrpc socket; empty switches publishing off.
    EventPublisher(
        const asio::any_io_executor& executor,
        Logger logger,
        std::string address,
        std::string containerd_namespace
    );
    ~EventPublisher() override; ///< `stop` must have been awaited

    void publish(sandbox::TaskEvent event) override;

    /// Sends what is queued, until `deadline`, then ends. What is left is lost, and logged.
    Awaitable<> stop(Deadline deadline);

  private:
    struct Queued {
        std::string request; ///< serialized ForwardRequest
        std::string topic;
        int refusals = 0;
    };

    Awaitable<> run();
    Awaitable<> run_connection();
    Awaitable<> send_front(ttrpc::Client& client);
    Awaitable<> wait_drained();

    asio::any_io_executor executor_;
    Logger logger_;
    std::string address_;
    std::string namespace_;
    std::deque<Queued> queue_;
    Event not_empty_;
    Event drained_;
    TaskGroup tasks_;
};

} // namespace cppvm::api
