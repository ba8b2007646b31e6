#include "host/sandbox/pod.hpp"

#include "common/base/error.hpp"
#include "common/base/joined.hpp"
#include "host/cgroup/location.hpp"

#include <chrono>
#include <utility>

namespace cppvm::sandbox {

Pod::Pod(const asio::any_io_executor& executor, Logger logger, Sandbox& sandbox, PodSteps steps)
    : executor_(executor), logger_(std::move(logger)), sandbox_(sandbox), steps_(std::move(steps)),
      state_(sandbox.identity().sandbox_id()), ended_(executor), coroutines_(executor, logger_) {}

void Pod::create(pod::CriPod pod) {
    state_.check_create();
    if (!pod.unsupported.empty()) {
        logger_.warn(
            "Unsupported parts of the pod's configuration",
            {{"parts", joined(pod.unsupported, ",")}}
        );
    }
    pod.spec.files = pod::write_pod_files(pod.files, sandbox_.run_dir() / "files");
    cgroup_ = cgroup::sandbox_cgroup(pod.spec.cgroups_path, sandbox_.identity().domain_name());
    state_.create(WallClock::now());
    steps_.created(pod.spec); // QEMU is to be born in the pod's cgroup
    sandbox_.boot(std::move(pod.spec));
    coroutines_.spawn("watch the machine", watch_machine());
}

Awaitable<PodStatus> Pod::start() {
    if (const auto exit = state_.exit(); exit && exit->status != 0) {
        try {
            co_await sandbox_.wait_booted(); // tells why not
        } catch (...) {
            rethrow_with_context("start sandbox " + id());
        }
    }
    state_.begin_start();
    std::exception_ptr failure;
    try {
        co_await sandbox_.wait_booted();
        const int network = co_await sandbox_.network();
        start_stand_in(network);
        if (!state_.finish_start(stand_in_->pid())) {
            throw Error(Code::failed_precondition, "it has ended meanwhile");
        }
    } catch (...) {
        failure = with_context(std::current_exception(), "start sandbox " + id());
    }
    if (failure) {
        if (stand_in_) {
            stand_in_->end();
        }
        co_await sandbox_.end_machine("its start has failed");
        finish();
        std::rethrow_exception(failure);
    }
    sandbox_.set_stand_in(stand_in_->pid());
    co_return status();
}

void Pod::start_stand_in(int network) {
    StandInSpec spec;
    spec.program = sandbox_.stand_in_program();
    spec.network_namespace = network;
    spec.arguments = {"sandbox", id()}; // what ps shows
    spec.working_directory = "/";
    stand_in_ = std::make_shared<StandIn>(executor_, spec);
    coroutines_.spawn("watch the stand-in", watch_stand_in(stand_in_));
}

Awaitable<> Pod::watch_stand_in(std::shared_ptr<StandIn> stand_in) {
    co_await stand_in->wait();
    co_await sandbox_.end_machine("its stand-in on the host was killed");
}

Awaitable<> Pod::watch_machine() {
    co_await sandbox_.wait_machine_gone();
    finish();
}

void Pod::finish() {
    if (!state_.end(WallClock::now())) {
        return;
    }
    if (stand_in_) {
        stand_in_->end();
    }
    ended_.set();
}

Awaitable<> Pod::stop() {
    state_.begin_stop();
    co_await sandbox_.halt();
    finish();
    co_await coroutines_.stop();
    steps_.stopped();
}

Awaitable<Exit> Pod::wait() {
    state_.check_created("wait for");
    co_await ended_.wait();
    co_return state_.exit().value();
}

PodStatus Pod::status() const {
    state_.check_created("look at");
    return {state_.is<PodState::Ready>(), state_.pid(), state_.created_at(), state_.exit()};
}

cgroup::Usage Pod::usage() const {
    state_.check_created("measure");
    return cgroup::read_usage(cgroup_, cgroup::find_hierarchies());
}

} // namespace cppvm::sandbox
