#include "host/sandbox/clock_keeper.hpp"

#include "common/base/error.hpp"

#include <utility>

namespace cppvm::sandbox {

namespace {

using std::chrono::duration_cast;
using std::chrono::nanoseconds;

// A longer exchange says little: the guest stood still, or host or guest are busy.
constexpr std::int64_t good_round_trip_ns = 50000000;
constexpr int max_tries = 3;
constexpr std::int64_t tolerance_ns = 1000000;

std::int64_t wall_clock_ns() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return duration_cast<nanoseconds>(now).count();
}

} // namespace

Awaitable<agent::v2::SetClockResponse>
ClockKeeper::configure(agent::v2::SetClockRequest request, Deadline deadline) {
    agent::v2::ConfigureRequest configuration;
    *configuration.mutable_clock() = std::move(request);
    auto response = co_await agent_.call(
        &agent::v2::AgentClient::configure, std::move(configuration), deadline
    );
    co_return std::move(*response.mutable_clock());
}

Awaitable<agent::v2::SetClockResponse>
ClockKeeper::set_clock(agent::v2::SetClockRequest request, Deadline deadline) {
    co_return co_await agent_.call(
        &agent::v2::AgentClient::set_clock, std::move(request), deadline
    );
}

Awaitable<ClockKeeper::Comparison> ClockKeeper::compare(Ask ask, Deadline deadline) {
    agent::v2::SetClockRequest request;
    request.set_adjust_ns(adjust_ns_);
    request.set_events_seen(agent_.events_seen());
    adjust_ns_ = 0;
    const auto begin = std::chrono::steady_clock::now();
    const std::int64_t sent_ns = wall_clock_ns();
    request.set_unix_ns(sent_ns);
    const auto response = co_await (this->*ask)(request, deadline);
    const auto took = duration_cast<nanoseconds>(std::chrono::steady_clock::now() - begin);
    // The guest's word is a number like any other: what overflows is only its own clock's error.
    const auto ahead = static_cast<std::int64_t>(
        static_cast<std::uint64_t>(response.unix_ns()) -
        static_cast<std::uint64_t>(sent_ns + took.count() / 2)
    );
    co_return Comparison{ahead, took.count()};
}

Awaitable<nanoseconds> ClockKeeper::set(Deadline deadline) {
    const Comparison result = co_await compare(&ClockKeeper::configure, deadline);
    co_return nanoseconds(result.ahead_ns);
}

// Without a deadline: the end of the machine ends the connection.
Awaitable<> ClockKeeper::correct() {
    for (int tries = 0; tries < max_tries; ++tries) {
        const Comparison result = co_await compare(&ClockKeeper::set_clock, no_deadline);
        if (result.round_trip_ns <= good_round_trip_ns) {
            const std::int64_t sure = result.round_trip_ns / 2 + tolerance_ns;
            const bool wrong = result.ahead_ns > sure || result.ahead_ns < -sure;
            adjust_ns_ = wrong ? -result.ahead_ns : 0;
            co_return;
        }
    }
}

Awaitable<> ClockKeeper::keep() {
    for (;;) {
        co_await wanted_.wait();
        wanted_.clear();
        try {
            co_await correct();
        } catch (const Error&) { // NOLINT(bugprone-empty-catch)
            // A lost connection, which the link handles, or a guest that will ask again.
        }
    }
}

} // namespace cppvm::sandbox
