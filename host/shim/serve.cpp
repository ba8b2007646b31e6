#include "host/shim/serve.hpp"

#include "common/async/run.hpp"
#include "common/async/task_group.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/ttrpc/server.hpp"
#include "host/api/control_service.hpp"
#include "host/api/event_publisher.hpp"
#include "host/api/sandbox_service.hpp"
#include "host/api/streaming_service.hpp"
#include "host/api/task_service.hpp"
#include "host/rundir/description.hpp"
#include "host/sandbox/sandbox.hpp"
#include "host/shim/ending_signals.hpp"
#include "host/vm/libvirt/libvirt_hypervisor.hpp"
#include "host/vm/unix_socket.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <optional>

namespace cppvm::shim {

namespace {

sandbox::SandboxSpec sandbox_spec(const DaemonSpec& spec) {
    sandbox::SandboxSpec result{
        spec.identity, spec.pod, spec.config, spec.run_dir, spec.stand_in_program
    };
    result.memory = spec.memory;
    result.timeouts.kill = spec.config.vm.kill_timeout;
    return result;
}

// containerd may be away; its events are not worth holding up the end for longer.
constexpr std::chrono::seconds last_events_timeout{2};
// For containerd to close its connections, which it does when the end that it asked for is
// answered. Less than what `delete` grants a daemon that it finds.
constexpr std::chrono::seconds last_answers_timeout{1};
constexpr std::size_t max_control_connections = 8;
// containerd connects as soon as `start` has answered.
constexpr std::chrono::seconds least_claim_timeout{5};

/// Every part of the daemon, in the order in which they depend on each other.
class Daemon {
  public:
    Daemon(asio::io_context& loop, DaemonSpec spec)
        : executor_(loop.get_executor()), logger_(spec.logger),
          on_ending_(std::move(spec.on_ending)), signals_(loop, spec.ending_signals.release()),
          events_(executor_, logger_, spec.ttrpc_address, spec.identity.containerd_namespace()),
          hypervisor_(executor_, logger_, spec.config),
          sandbox_(executor_, logger_, sandbox_spec(spec), hypervisor_, events_),
          service_(executor_, sandbox_, std::move(spec.on_shutting_down)), control_(sandbox_),
          run_dir_(spec.run_dir), server_(executor_, logger_, {.check_peer_credentials = true}),
          control_server_(
              executor_,
              logger_,
              {.check_peer_credentials = true, .max_connections = max_control_connections}
          ),
          acceptor_(loop, asio::local::stream_protocol(), spec.listener.release()),
          claim_timeout_(std::max(spec.config.vm.boot_timeout, least_claim_timeout)),
          end_(executor_), tasks_(executor_, logger_) {
        if (spec.pod.awaits_create) {
            pod_.emplace(
                executor_,
                logger_,
                sandbox_,
                sandbox::PodSteps{std::move(spec.on_created), std::move(spec.on_stopped)}
            );
            sandbox_service_.emplace(executor_, *pod_);
            streaming_.emplace(executor_);
        }
    }

    Awaitable<> run() {
        if (sandbox_service_) {
            server_.add(*sandbox_service_);
            server_.add(*streaming_);
            tasks_.spawn(
                "wait for the sandbox's shutdown",
                end_after(sandbox_service_->wait_shutdown(), "ShutdownSandbox was asked for")
            );
        } else {
            sandbox_.boot();
        }
        server_.add(service_);
        server_.add(service_, api::TaskService::v2_name);
        tasks_.spawn("serve", server_.serve(std::move(acceptor_)));
        serve_control();
        tasks_.spawn(
            "wait for shutdown", end_after(service_.wait_shutdown(), "Shutdown was asked for")
        );
        tasks_.spawn("wait for signal", wait_signal());
        tasks_.spawn("wait for containerd", wait_claim());
        co_await end_.wait();
        co_await stop();
    }

  private:
    // For people: containers run without it as well.
    void serve_control() {
        control_server_.add(control_);
        try {
            auto acceptor = vm::listen_unix(executor_, control_socket_path(run_dir_));
            tasks_.spawn("serve control", control_server_.serve(std::move(acceptor)));
        } catch (const Error& error) {
            logger_.warn("No control service", {{"error", error.message()}});
        }
    }

    Awaitable<> end_after(Awaitable<> shutdown, const char* what) {
        co_await std::move(shutdown);
        logger_.debug(what);
        on_ending_();
        end_.set();
    }

    Awaitable<> wait_signal() {
        const int number = co_await wait_ending_signal(signals_);
        logger_.info("Shutting down on a signal", {{"signal", number}});
        end_.set();
    }

    // A `start` that was killed, or whose answer did not arrive, leaves a daemon that containerd
    // does not know of and so will never end.
    Awaitable<> wait_claim() {
        asio::steady_timer timer(executor_);
        do {
            timer.expires_after(claim_timeout_);
            co_await timer.async_wait(asio::use_awaitable);
        } while (awaits_create() && server_.connections() > 0);
        const bool is_wanted = pod_ ? !awaits_create() : !sandbox_.empty();
        if (!is_wanted && server_.connections() == 0) {
            logger_.error("Shutting down: containerd never connected");
            on_ending_();
            end_.set();
        }
    }

    // With a connection it may still come.
    bool awaits_create() const noexcept { return pod_ && pod_->is_absent(); }

    // The connections stay until the events are out: containerd takes their end for ours. What it
    // asks after that is still answered: several of its clients may want the same end at once.
    Awaitable<> stop() {
        co_await control_server_.stop();
        if (pod_) {
            co_await pod_->stop();
        }
        co_await sandbox_.stop();
        co_await events_.stop(deadline_in(last_events_timeout));
        co_await ends_by(server_.wait_peers_gone(), deadline_in(last_answers_timeout));
        co_await server_.stop();
        co_await tasks_.stop();
    }

    asio::any_io_executor executor_;
    Logger logger_;
    std::function<void()> on_ending_;
    asio::posix::stream_descriptor signals_;
    api::EventPublisher events_;
    vm::LibvirtHypervisor hypervisor_;
    sandbox::Sandbox sandbox_;
    std::optional<sandbox::Pod> pod_; ///< with the Sandbox API
    std::optional<api::SandboxService> sandbox_service_;
    std::optional<api::StreamingService> streaming_; ///< likewise
    api::TaskService service_;
    api::ControlService control_;
    std::filesystem::path run_dir_;
    ttrpc::Server server_;
    ttrpc::Server control_server_;
    ttrpc::Server::Acceptor acceptor_;
    std::chrono::seconds claim_timeout_;
    Event end_;
    TaskGroup tasks_;
};

} // namespace

int serve(DaemonSpec spec) {
    asio::io_context loop(1);
    Daemon daemon(loop, std::move(spec));
    run_until_done(loop, daemon.run());
    return 0;
}

} // namespace cppvm::shim
