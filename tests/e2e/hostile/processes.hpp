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
#include <vector>

namespace cppvm::hostile {

/// What the host is told of a process's end.
struct ToldExit {
    std::uint64_t process_number = 0;
    unsigned status = 0;
};

/// Processes that exist on paper only. Thread-safe.
class Processes {
  public:
    struct Process {
        std::uint64_t number = 0; ///< the host's
        Behaviour behaviour;
        UniqueFd output;
        std::optional<unsigned> status;
    };
    using Handle = std::shared_ptr<Process>;

    /// A stdio connection that a later request names.
    void park(std::uint64_t stream, UniqueFd connection);

    /// With the parked connection of `output_stream`, if there is one. An exec has the behaviour of
    /// its arguments alone.
    Handle
    add(const std::string& container,
        const std::string& exec,
        std::uint64_t number,
        Behaviour behaviour,
        std::uint64_t output_stream);
    /// Null where there is none.
    Handle find(const std::string& container, const std::string& exec);

    void end(const Handle& process, unsigned status);
    void wait(const Handle& process);

    /// Tells the host of an end, whether it is true or not.
    void tell(const Handle& process, unsigned status);
    /// Waits for the exit that is told after `count` others.
    ToldExit told_after(std::size_t count);

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::uint64_t, UniqueFd> parked_;
    std::map<std::pair<std::string, std::string>, Handle> processes_;
    std::vector<ToldExit> told_;
};

/// Output as the behaviour has it, until the process ends and, where it lies, further.
void write_output(Processes& processes, const Processes::Handle& process);

} // namespace cppvm::hostile
