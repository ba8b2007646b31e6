#pragma once

#include "common/async/asio.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>

namespace cppvm::sockets {

/// Unix sockets of the host's that containers of one machine can connect to. The guest names a
/// socket by the number that it was offered under, and has no other way to say which.
/// Owns: the connections. `stop` must have been awaited. Thread: the loop's only.
class SocketOffers {
  public:
    /// The guest's end of one of its connections, as stream::relay takes it, by the guest's number
    /// for it; nothing if the guest has no such connection. `taken`: the host's socket has taken
    /// it; else the guest is to close it.
    using Dial =
        std::function<Awaitable<std::optional<StreamSocket>>(std::uint64_t connection, bool taken)>;

    SocketOffers(const asio::any_io_executor& executor, Logger logger);

    /// From now on the guest may ask for connections to the socket at `path`; gives its number.
    /// That socket may come and go.
    std::uint64_t offer(std::filesystem::path path);

    /// It is offered no longer, and its connections are broken off. Nothing happens if it was not.
    Awaitable<> withdraw(std::uint64_t number);

    /// The guest's word: somebody there has connected to a socket. Of no effect for one that is not
    /// offered, or beyond `max_connections`.
    void connect(std::uint64_t number, std::uint64_t connection, Dial dial);

    Awaitable<> stop();

    /// Of one machine, at a time; the agent has room for them beside those to its ports.
    static constexpr std::size_t max_connections = 128;

  private:
    struct Offer {
        Offer(const asio::any_io_executor& executor, const Logger& logger, std::filesystem::path at)
            : path(std::move(at)), connections(executor, logger) {}

        std::filesystem::path path;
        TaskGroup connections;
    };

    std::size_t open_connections() const noexcept;
    Awaitable<> join(std::filesystem::path path, std::uint64_t connection, Dial dial);

    asio::any_io_executor executor_;
    Logger logger_;
    std::map<std::uint64_t, std::shared_ptr<Offer>> offers_;
    std::uint64_t last_number_ = 0;
};

} // namespace cppvm::sockets
