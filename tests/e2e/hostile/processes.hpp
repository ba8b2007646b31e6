#pragma once

#include "common/base/unique_fd.hpp"
#include "tests/e2e/hostile/behaviour.hpp"

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace cppvm::hostile {

/// Processes that exist on paper only. Thread-safe.
class Processes {
  public:
    struct Process {
        Behaviour behaviour;
        UniqueFd output;
        std::optional<unsigned> status;
    };
    using Handle = std::shared_ptr<Process>;

    /// A stdio connection that a later request names.
    void park(std::uint64_t token, UniqueFd connection);

    /// With the parked connection of `output_token`, if there is one. An exec has the behaviour of
    /// its arguments alone.
    Handle
    add(const std::string& container,
        const std::string& exec,
        Behaviour behaviour,
        std::uint64_t output_token);
    /// Null where there is none.
    Handle find(const std::string& container, const std::string& exec);

    void end(const Handle& process, unsigned status);
    unsigned wait(const Handle& process);

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::uint64_t, UniqueFd> parked_;
    std::map<std::pair<std::string, std::string>, Handle> processes_;
};

/// Output as the behaviour has it, until the process ends and, where it lies, further.
void write_output(Processes& processes, const Processes::Handle& process);

} // namespace cppvm::hostile
