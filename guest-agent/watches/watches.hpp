#pragma once

#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/async/turn.hpp"
#include "common/log/logger.hpp"
#include "common/os/forked_child.hpp"
#include "guest-agent/watches/resolve.hpp"
#include "proto/cppvm/agent.pb.h"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace cppvm::guest {

/// Lets watches (inotify(7)) of containers on files of volumes hear of what the host changes, too:
/// the call that makes one waits for the agent, which asks the host to watch that file, and gives
/// the process a watch on its shadow (shadow.hpp), on which the agent makes again what the host
/// tells. What the container changes itself comes the same way, once.
///
/// There is no process and no file system of all that while nobody watches anything in a volume.
/// Thread: the loop's only. Owns: everything; `stop` must have been awaited.
class Watches {
  public:
    /// `share`: where the host's files are.
    Watches(const asio::any_io_executor& executor, Logger logger, std::string share);

    /// Where the host is told of watches.
    void set_on_event(std::function<void(agent::v2::Event)> on_event) {
        on_event_ = std::move(on_event);
    }

    /// Answers calls of a new process, and those that come from it (watch_filter.hpp). `volumes`:
    /// what of the share it has, by paths below that.
    void listen(UniqueFd listener, std::vector<std::string> volumes);

    /// What the host tells. Returns when those who watch have been told.
    Awaitable<> replay(agent::v2::ReplayRequest request);

    Awaitable<> stop();

    /// At a time. More are watched in the machine alone, with a warning.
    static constexpr std::size_t max_watches = 65536;

  private:
    using Listener = asio::posix::stream_descriptor;
    using FileId = std::pair<dev_t, ino_t>;

    /// What is watched.
    struct Watched {
        Watched(const asio::any_io_executor& executor, std::uint64_t id, FileId of)
            : number(id), file(of), begun(executor) {}

        std::uint64_t number;
        FileId file;
        Event begun; ///< the host watches it, or `error` says why not
        int error = 0;
        bool added = false; ///< in the shadow
    };

    Awaitable<> answer_calls(Listener listener, std::vector<std::string> volumes);
    Awaitable<std::optional<int>> add(WatchCall call, const std::vector<std::string>& volumes);
    Awaitable<std::optional<int>> add_to_shadow(
        std::shared_ptr<Watched> watched, WatchCall call, WatchTarget target, std::string path
    );
    std::shared_ptr<Watched> want(const WatchTarget& target, const std::string& path);
    void drop(const std::set<std::uint64_t>& numbers);
    Awaitable<> sweep();
    Awaitable<> sweep_once();
    Awaitable<std::string> ask_shadow(std::string request);

    asio::any_io_executor executor_;
    Logger logger_;
    std::string share_;
    std::function<void(agent::v2::Event)> on_event_ = [](const agent::v2::Event&) {};
    std::map<FileId, std::shared_ptr<Watched>> by_file_;
    std::map<std::uint64_t, std::shared_ptr<Watched>> by_number_;
    std::uint64_t last_number_ = 0;
    std::uint64_t last_replay_ = 0;
    std::unique_ptr<ForkedChild> shadow_;
    Turn shadow_turn_;
    Event look_; ///< somebody may watch no longer
    bool sweeps_ = false;
    TaskGroup tasks_;
};

} // namespace cppvm::guest
