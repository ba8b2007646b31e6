#pragma once

#include "common/async/asio.hpp"
#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <sys/types.h>
#include <utility>

namespace cppvm::guest {

/// A socket of the host's that containers can connect to. Plain data.
struct HostSocketSpec {
    std::uint64_t number = 0; ///< the host's, for each only once
    uid_t uid = 0;
    gid_t gid = 0;
    mode_t mode = 0; ///< permissions
};

/// What containers connect to in the place of sockets of the host's: a listening socket for each,
/// `<directory>/<number>`. A connection waits here until the host comes for it.
/// Thread: the loop's only. Owns: sockets and waiting connections; `stop` must have been awaited.
class HostSockets {
  public:
    /// `directory`: is made when it is needed.
    HostSockets(
        const asio::any_io_executor& executor, Logger logger, std::filesystem::path directory
    );

    /// One socket, for as long as it lives; not longer than the HostSockets.
    class Listening {
      public:
        Listening(HostSockets& owner, std::uint64_t number) : owner_(&owner), number_(number) {}
        Listening(Listening&& other) noexcept
            : owner_(std::exchange(other.owner_, nullptr)), number_(other.number_) {}
        Listening& operator=(Listening&&) = delete;
        ~Listening() {
            if (owner_ != nullptr) {
                owner_->close(number_);
            }
        }

      private:
        HostSockets* owner_;
        std::uint64_t number_;
    };

    /// Throws: Error; then nothing is left.
    Listening listen(const HostSocketSpec& spec);

    struct Waiting {
        std::uint64_t connection = 0; ///< counts up from 1
        std::uint64_t socket = 0;
    };
    /// The first connection after `connection` that waits; nothing if there is none.
    std::optional<Waiting> waiting_after(std::uint64_t connection) const;
    /// Called whenever there is one more.
    void set_on_waiting(std::function<void()> on_waiting) { on_waiting_ = std::move(on_waiting); }

    /// The connection, which waits no longer; nothing if it does not wait.
    std::optional<StreamSocket> take(std::uint64_t connection);

    Awaitable<> stop();

    /// No more is accepted while as many wait: containers' own queues fill up then.
    static constexpr std::size_t max_waiting = 64;
    /// A host that does not come for a connection in this time does not want it.
    static constexpr std::chrono::seconds fetch_timeout{10};

  private:
    using Acceptor = asio::local::stream_protocol::acceptor;
    struct Held {
        std::uint64_t socket = 0;
        StreamSocket connection;
        Deadline deadline = no_deadline;
    };

    void close(std::uint64_t number) noexcept;
    std::filesystem::path path_of(std::uint64_t number) const;
    Acceptor bind(const HostSocketSpec& spec) const;
    Awaitable<> accept(std::shared_ptr<Acceptor> acceptor, std::uint64_t number);
    Awaitable<> drop_unwanted();
    void forget(std::map<std::uint64_t, Held>::iterator entry);

    asio::any_io_executor executor_;
    Logger logger_;
    std::filesystem::path directory_;
    std::function<void()> on_waiting_ = [] {};
    std::map<std::uint64_t, std::shared_ptr<Acceptor>> listening_;
    std::map<std::uint64_t, Held> waiting_; ///< by connection, and so by deadline
    std::uint64_t last_connection_ = 0;
    Event come_; ///< waiting_ is not empty
    Event room_; ///< fewer than max_waiting
    TaskGroup tasks_;
};

} // namespace cppvm::guest
