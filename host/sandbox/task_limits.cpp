// What a container may use and what it uses: its freezer, its limits, its numbers.

#include "common/base/error.hpp"
#include "common/oci/spec_json.hpp"
#include "host/sandbox/task.hpp"

#include <utility>

namespace cppvm::sandbox {

namespace {

// A guest may report what it likes.
constexpr std::chrono::seconds out_of_memory_interval{1};
constexpr std::int64_t mib = 1024L * 1024;

} // namespace

bool Task::exceeds_machine(const oci::Resources& resources) const {
    return resources.memory.limit.value_or(0) / mib >
           static_cast<std::int64_t>(environment_.memory_mib());
}

Awaitable<> Task::freeze(bool frozen) {
    agent::v2::FreezeRequest request;
    request.set_container_id(spec_.id);
    request.set_frozen(frozen);
    const AgentHandle agent = co_await environment_.agent();
    try {
        co_await agent->call(
            &agent::v2::AgentClient::freeze,
            std::move(request),
            deadline_in(environment_.timeouts.freeze),
            agent::Repeat::yes
        );
    } catch (...) {
        rethrow_with_context((frozen ? "pause " : "resume ") + init_->name());
    }
}

Awaitable<> Task::pause() {
    init_->state.check_pause();
    co_await freeze(true);
    init_->state.check_pause(); // it may have been killed meanwhile
    init_->state.pause();
    environment_.events.publish(TaskPaused{spec_.id});
}

Awaitable<> Task::resume() {
    init_->state.check_resume();
    co_await freeze(false);
    init_->state.check_resume();
    init_->state.resume();
    environment_.events.publish(TaskResumed{spec_.id});
}

Awaitable<> Task::update(std::string resources) {
    const std::string operation = "update " + init_->name();
    if (init_->state.exit()) {
        throw Error(Code::failed_precondition, operation + ": it has already exited");
    }
    std::vector<std::string> unsupported;
    try {
        pod::GuestResources translated = pod::make_guest_resources(resources);
        unsupported = std::move(translated.unsupported);
        const AgentHandle agent = co_await environment_.agent();
        if (exceeds_machine(translated.resources)) {
            throw Error(
                Code::failed_precondition,
                "linux.resources.memory.limit is more than the " +
                    std::to_string(environment_.memory_mib()) +
                    " MiB of its machine, which cannot grow: recreate it with the limit that it "
                    "needs"
            );
        }
        agent::v2::UpdateContainerRequest request;
        request.set_container_id(spec_.id);
        request.set_resources(oci::write_resources(translated.resources));
        const auto response = co_await agent->call(
            &agent::v2::AgentClient::update_container,
            std::move(request),
            deadline_in(environment_.timeouts.update),
            agent::Repeat::yes
        );
        unsupported.insert(
            unsupported.end(), response.unsupported().begin(), response.unsupported().end()
        );
    } catch (...) {
        rethrow_with_context(operation);
    }
    report_unsupported(*init_, unsupported);
}

Awaitable<agent::v2::StatsResponse> Task::stats() {
    agent::v2::StatsRequest request;
    request.set_container_id(spec_.id);
    const AgentHandle agent = co_await environment_.agent();
    try {
        co_return co_await agent->call(
            &agent::v2::AgentClient::stats,
            std::move(request),
            deadline_in(environment_.timeouts.list),
            agent::Repeat::yes
        );
    } catch (...) {
        rethrow_with_context("read the statistics of " + init_->name());
    }
}

void Task::report_out_of_memory() {
    const auto now = std::chrono::steady_clock::now();
    if (init_->state.exit() || now - last_out_of_memory_ < out_of_memory_interval) {
        return;
    }
    last_out_of_memory_ = now;
    environment_.events.publish(TaskOutOfMemory{spec_.id});
}

} // namespace cppvm::sandbox
