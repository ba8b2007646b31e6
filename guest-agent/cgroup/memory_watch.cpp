#include "guest-agent/cgroup/memory_watch.hpp"

#include "common/async/adopt.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "guest-agent/cgroup/numbers.hpp"

#include <chrono>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace cppvm::guest {

namespace {

constexpr std::size_t max_memory_file = 64UL * 1024;
constexpr std::int64_t page = 4096;

// Tasks wait for memory for half of a second: a program that only comes near its limit does not
// (Documentation/accounting/psi.rst). One event a second at most.
constexpr std::string_view trigger = "some 500000 1000000";
// So many in a row, each with is_thrashing.
constexpr int patience = 4;
constexpr std::chrono::seconds in_a_row{3};

/// 0 for "max".
std::int64_t read_number(const std::filesystem::path& path) {
    const auto number = parse_number(read_file(path, max_memory_file)).value_or(0);
    return std::in_range<std::int64_t>(number) ? static_cast<std::int64_t>(number) : 0;
}

std::int64_t signed_value_of(std::string_view text, std::string_view name) {
    return static_cast<std::int64_t>(value_of(text, name));
}

} // namespace

bool is_thrashing(const MemorySample& before, const MemorySample& now) noexcept {
    const bool is_full = now.limit > 0 && now.used >= now.limit - now.limit / 16;
    const bool little_to_drop = now.files <= now.limit / 4;
    return is_full && little_to_drop && now.refaulted - before.refaulted >= now.files / page;
}

MemoryWatch::MemoryWatch(
    const asio::any_io_executor& executor, std::filesystem::path cgroup, Logger logger
)
    : executor_(executor), cgroup_(std::move(cgroup)), logger_(std::move(logger)) {}

MemorySample MemoryWatch::read_sample() const {
    const std::string stat = read_file(cgroup_ / "memory.stat", max_memory_file);
    MemorySample sample;
    sample.limit = read_number(cgroup_ / "memory.max"); // 0: "max"
    sample.used = read_number(cgroup_ / "memory.current");
    sample.files = signed_value_of(stat, "active_file") + signed_value_of(stat, "inactive_file");
    sample.refaulted = signed_value_of(stat, "workingset_refault_file");
    return sample;
}

// With a limit below what cannot be dropped the kernel has to kill. The write returns when it has,
// so it is another process's: the agent must not wait. That one also restores the limit.
void MemoryWatch::kill_one(const MemorySample& sample) const {
    const std::string below = std::to_string((sample.used - sample.files) / 8 * 7);
    const std::string limit = std::to_string(sample.limit);
    const UniqueFd file = open_file(cgroup_ / "memory.max", O_WRONLY);
    const pid_t child = ::fork();
    if (child < 0) {
        throw_errno("fork", "process that lowers memory.max");
    }
    if (child == 0) {
        static_cast<void>(!::write(file.get(), below.data(), below.size()));
        static_cast<void>(!::write(file.get(), limit.data(), limit.size()));
        ::_exit(0);
    }
    logger_.warn(
        "Out of memory: the limit leaves no room for the program's own files",
        {{"limit", sample.limit}, {"files", sample.files}}
    );
}

Awaitable<> MemoryWatch::run() {
    try {
        co_await watch();
    } catch (const Error& error) {
        // The cgroup is gone, or never had these files.
        logger_.debug("Watch on memory ended", {{"error", error.message()}});
    }
}

Awaitable<> MemoryWatch::watch() {
    UniqueFd pressure(::open((cgroup_ / "memory.pressure").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)
    );
    if (!pressure || ::write(pressure.get(), trigger.data(), trigger.size()) < 0) {
        throw_errno("watch", (cgroup_ / "memory.pressure").native());
    }
    auto events = to_descriptor(executor_, std::move(pressure));
    MemorySample before = read_sample();
    int count = 0;
    auto last = std::chrono::steady_clock::now();
    for (;;) {
        co_await events.async_wait(asio::posix::descriptor_base::wait_error, asio::use_awaitable);
        const MemorySample now = read_sample();
        const auto moment = std::chrono::steady_clock::now();
        const bool goes_on = moment - last <= in_a_row;
        last = moment;
        count = !is_thrashing(before, now) ? 0 : goes_on ? count + 1 : 1;
        before = now;
        if (count >= patience) {
            kill_one(now);
            count = 0;
        }
    }
}

} // namespace cppvm::guest
