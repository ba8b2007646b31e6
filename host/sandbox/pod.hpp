#pragma once

#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "host/cgroup/usage.hpp"
#include "host/pod/pod_spec_cri.hpp"
#include "host/sandbox/pod_state.hpp"
#include "host/sandbox/sandbox.hpp"
#include "host/standin/stand_in.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace cppvm::sandbox {

/// What SandboxStatus tells. Plain data.
struct PodStatus {
    bool is_ready = false;
    pid_t pid = 0;                            ///< 0: it was never started
    std::optional<PodState::Time> created_at; ///< nothing: it was stopped before
    std::optional<Exit> exit;
};

/// What the daemon does around what runs of a pod. Neither throws.
struct PodSteps {
    std::function<void(const pod::PodSpec&)> created; ///< before anything runs
    std::function<void()> stopped; ///< nothing runs any more, but for this process
};

/// A sandbox under the Sandbox API: containerd says when it begins and when it ends, and asks for
/// its state long after. Over a Sandbox, which knows nothing of that.
///
/// The pid that containerd is told is a stand-in's, in the pod's network namespace: by its path in
/// /proc the specs of containers name the pod's namespaces. Killed, it is the end of the sandbox.
///
/// Operations that change something must not be cancelled. Thread: the loop's only.
class Pod {
  public:
    /// Borrows the sandbox, which must outlive it.
    Pod(const asio::any_io_executor& executor, Logger logger, Sandbox& sandbox, PodSteps steps);

    const std::string& id() const noexcept { return sandbox_.identity().sandbox_id(); }
    bool is_absent() const noexcept { return state_.is<PodState::Absent>(); }

    /// Begins the boot. Throws: Error: already_exists, or why the pod's files cannot be written.
    void create(pod::CriPod pod);

    /// Until the machine runs. Throws: Error: failed_precondition, or why it does not; then the
    /// sandbox has ended.
    Awaitable<PodStatus> start();

    /// Ends the machine, and with it all containers, which can still be deleted; lets go of the
    /// network and of the pod's cgroup. Bounded, idempotent, does not throw.
    Awaitable<> stop();

    /// Until it has ended. Throws: Error (failed_precondition) before it is created.
    Awaitable<Exit> wait();

    /// Throws: Error (failed_precondition) before it is created.
    PodStatus status() const;

    /// Of the pod's cgroup on the host: with the machine itself, which is what the pod costs;
    /// the guest is not asked. Throws: Error (failed_precondition) before it is created.
    cgroup::Usage usage() const;

  private:
    void start_stand_in(int network);
    void finish();
    Awaitable<> watch_machine();
    Awaitable<> watch_stand_in(std::shared_ptr<StandIn> stand_in);

    asio::any_io_executor executor_;
    Logger logger_;
    Sandbox& sandbox_;
    PodSteps steps_;
    PodState state_;
    std::filesystem::path cgroup_;
    std::shared_ptr<StandIn> stand_in_;
    Event ended_;
    TaskGroup coroutines_;
};

} // namespace cppvm::sandbox
