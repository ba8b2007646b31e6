#pragma once

#include "common/async/asio.hpp"
#include "common/log/logger.hpp"

#include <functional>
#include <string>
#include <vector>

namespace cppvm::sandbox {

/// The undo steps of what has been done so far, run in reverse order: the same list serves a
/// failure half way and the regular end.
///
/// Each step is added before what it undoes is done, and must tolerate that it was not.
class Rollback {
  public:
    using Step = std::function<Awaitable<>()>;

    explicit Rollback(Logger logger);

    void add(std::string name, Step step);

    /// Runs all steps, the last one first, and forgets them. A step that throws is logged as a
    /// warning, and the others still run. Must not be cancelled.
    Awaitable<> run();

  private:
    struct Entry {
        std::string name;
        Step step;
    };

    Logger logger_;
    std::vector<Entry> steps_;
};

} // namespace cppvm::sandbox
