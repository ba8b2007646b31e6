#include "host/sandbox/rollback.hpp"

#include "common/base/error.hpp"

namespace cppvm::sandbox {

Rollback::Rollback(Logger logger) : logger_(std::move(logger)) {}

void Rollback::add(std::string name, Step step) {
    steps_.push_back({std::move(name), std::move(step)});
}

Awaitable<> Rollback::run() {
    while (!steps_.empty()) {
        const Entry entry = std::move(steps_.back()); // kept until its coroutine has ended
        steps_.pop_back();
        Status status;
        try {
            co_await entry.step();
        } catch (...) {
            status = to_status(std::current_exception());
        }
        if (status.code != Code::ok) {
            logger_.warn("Undo step failed", {{"step", entry.name}, {"error", status.message}});
        }
    }
}

} // namespace cppvm::sandbox
