#include "common/async/task_group.hpp"

#include "common/base/assert.hpp"
#include "common/base/error.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>

namespace cppvm {

TaskGroup::TaskGroup(const asio::any_io_executor& executor, Logger logger)
    : executor_(executor), logger_(std::move(logger)), empty_(executor) {}

TaskGroup::~TaskGroup() {
    CPPVM_ASSERT(tasks_.empty());
}

void TaskGroup::spawn(std::string name, Awaitable<> task) {
    if (closed_) {
        throw Error(Code::failed_precondition, "start " + name + ": the owner is shutting down");
    }
    tasks_.emplace_back();
    const auto entry = std::prev(tasks_.end());
    entry->name = std::move(name);
    empty_.clear();
    auto finished = [this, entry](const std::exception_ptr& exception) {
        if (exception) {
            const Status status = to_status(exception);
            if (status.code != Code::cancelled) {
                logger_.error("Task failed", {{"task", entry->name}, {"error", status.message}});
            }
        }
        tasks_.erase(entry);
        if (tasks_.empty()) {
            empty_.set();
        }
    };
    asio::co_spawn(
        executor_,
        std::move(task),
        asio::bind_cancellation_slot(entry->signal.slot(), std::move(finished))
    );
}

void TaskGroup::cancel() noexcept {
    closed_ = true;
    // A handler that runs inside emit may end its task, but erasure happens from the loop only, so
    // the list does not change under us: co_spawn's completion is always posted.
    for (auto& entry : tasks_) {
        entry.signal.emit(asio::cancellation_type::terminal);
    }
}

Awaitable<> TaskGroup::stop() {
    cancel();
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    while (!tasks_.empty()) {
        co_await empty_.wait_uninterrupted();
    }
    co_await asio::this_coro::throw_if_cancelled(throws);
}

Awaitable<> TaskGroup::stop_after(Awaitable<> operation) {
    std::exception_ptr failure;
    try {
        co_await std::move(operation);
    } catch (...) {
        failure = std::current_exception();
    }
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await stop();
    co_await asio::this_coro::throw_if_cancelled(true);
    if (failure) {
        std::rethrow_exception(failure);
    }
}

Awaitable<> TaskGroup::join() {
    closed_ = true;
    co_await wait_empty();
}

Awaitable<> TaskGroup::wait_empty() {
    while (!tasks_.empty()) {
        co_await empty_.wait();
    }
}

} // namespace cppvm
