#pragma once

#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/base/unique_fd.hpp"
#include "common/log/logger.hpp"
#include "common/os/forked_child.hpp"
#include "proto/cppvm/agent.pb.h"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace cppvm::watches {

/// Watches files of volumes for the containers of one machine that do (inotify(7)), and tells the
/// guest what happens to them, in the order in which it happens. There is an inotify instance, and
/// a process that adds to it, only while something is watched.
///
/// The guest names files by paths in its share; what they lead to is for a confined process to see
/// (watch_work.hpp). What there may be of everything is bounded.
/// Thread: the loop's only. Owns: both; `stop` must have been awaited.
class VolumeWatches {
  public:
    /// Tells the guest; returns when it knows. Throws: Error.
    using Tell = std::function<Awaitable<>(agent::v2::ReplayRequest)>;

    /// `name_space`: gives the mount namespace of the share of volumes; -1: there is none any more.
    VolumeWatches(
        const asio::any_io_executor& executor,
        Logger logger,
        std::function<int()> name_space,
        Tell tell
    );

    /// The guest's word: it wants that file watched. It is told what came of it.
    void want(const agent::v2::Event::WatchWanted& wanted);
    /// And not any more.
    void drop(const agent::v2::Event::WatchUnwanted& unwanted);

    Awaitable<> stop();

    /// Files that are watched or are to be.
    static constexpr std::size_t max_watches = 65536;
    /// Changes that the guest has not been told yet. More are lost, with a warning.
    static constexpr std::size_t max_changes = 65536;

  private:
    using Change = agent::v2::ReplayRequest::Change;
    using Begun = agent::v2::ReplayRequest::Begun;
    struct Order {
        std::uint64_t watch = 0;
        std::string path;
        std::uint64_t inode = 0;
    };

    void open();
    void close_if_unused();
    Awaitable<> add_all();
    Awaitable<int> add(const Order& order);
    void answer(std::uint64_t watch, int error);
    void begin(std::uint64_t watch, int descriptor);
    Awaitable<> read_changes();
    void read_available();
    void hear(int descriptor, std::uint32_t mask, std::uint32_t cookie, std::string_view name);
    void report_loss(const char* what);
    Awaitable<> tell_all();
    agent::v2::ReplayRequest next_request();
    void unwatch(std::uint64_t watch);

    asio::any_io_executor executor_;
    Logger logger_;
    std::function<int()> name_space_;
    Tell tell_;
    std::unique_ptr<asio::posix::stream_descriptor> inotify_;
    std::shared_ptr<ForkedChild> adder_;
    std::map<std::uint64_t, int> descriptors_;       ///< of each watch; -1: it is to be added
    std::map<int, std::set<std::uint64_t>> watches_; ///< of each descriptor
    std::deque<Order> orders_;
    std::deque<Begun> begun_;
    std::deque<Change> changes_;
    std::uint64_t last_request_ = 0;
    bool warned_ = false; ///< that the host refuses watches
    Event ordered_;
    Event opened_;
    Event news_;
    bool runs_ = false;
    TaskGroup tasks_;
};

} // namespace cppvm::watches
