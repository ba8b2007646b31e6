#include "common/async/run_once.hpp"

#include "common/async/timeout.hpp"
#include "common/base/scope_exit.hpp"

#include <utility>

namespace cppvm {

RunOnce::RunOnce(const asio::any_io_executor& executor)
    : state_(std::make_shared<State>(executor)) {}

Awaitable<> RunOnce::run(Awaitable<> operation) {
    const auto state = state_; // this object may be gone when the operation has ended
    if (std::exchange(state->begun, true)) {
        co_await state->ended.wait_uninterrupted();
        co_return;
    }
    const ScopeExit end([&state] { state->ended.set(); });
    co_await shielded(std::move(operation), no_deadline, "");
}

} // namespace cppvm
