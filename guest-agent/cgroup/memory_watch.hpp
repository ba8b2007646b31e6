#pragma once

#include "common/async/asio.hpp"
#include "common/log/logger.hpp"

#include <cstdint>
#include <filesystem>

namespace cppvm::guest {

/// What a cgroup's memory is made of, in bytes; refaults are pages of files that were read again
/// soon after they had been dropped, since the cgroup exists.
struct MemorySample {
    std::int64_t limit = 0;
    std::int64_t used = 0;
    std::int64_t files = 0; ///< of `used`, what can be dropped
    std::int64_t refaulted = 0;
};

/// Whether a cgroup at its limit only drops pages of files to read them again at once: almost all
/// of its memory is not such pages, and what is left of them was read again between the samples.
bool is_thrashing(const MemorySample& before, const MemorySample& now) noexcept;

/// Ends what the kernel alone would let go on for minutes: it kills for a memory limit only when it
/// finds nothing to drop, and on a share whose pages come back from the host at once it always does
/// (docs/adr/0011-memory-limits-that-kill.md). The kernel chooses the victim, and counts it in
/// memory.events.
/// Thread: the loop's only.
class MemoryWatch {
  public:
    /// `cgroup` is a directory of cgroup v2 that has a memory limit.
    MemoryWatch(const asio::any_io_executor& executor, std::filesystem::path cgroup, Logger logger);

    /// Until the cgroup is gone; returns at once where the kernel measures no pressure.
    /// Cancels: nothing is left.
    Awaitable<> run();

  private:
    Awaitable<> watch();
    MemorySample read_sample() const;
    void kill_one(const MemorySample& sample) const;

    asio::any_io_executor executor_;
    std::filesystem::path cgroup_;
    Logger logger_;
};

} // namespace cppvm::guest
