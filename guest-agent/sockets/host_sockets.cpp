#include "guest-agent/sockets/host_sockets.hpp"

#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/os/file.hpp"

#include <boost/asio/steady_timer.hpp>

#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace cppvm::guest {

namespace {

// Without descriptors or memory at once there would be no more than now.
constexpr std::chrono::milliseconds pause_without_descriptors{100};

} // namespace

HostSockets::HostSockets(
    const asio::any_io_executor& executor, Logger logger, std::filesystem::path directory
)
    : executor_(executor), logger_(logger), directory_(std::move(directory)), come_(executor),
      room_(executor), tasks_(executor, std::move(logger)) {
    room_.set();
}

std::filesystem::path HostSockets::path_of(std::uint64_t number) const {
    return directory_ / std::to_string(number);
}

HostSockets::Acceptor HostSockets::bind(const HostSocketSpec& spec) const {
    const std::filesystem::path path = path_of(spec.number);
    make_directories(directory_, 0755);
    Acceptor acceptor(executor_, asio::local::stream_protocol());
    boost::system::error_code error;
    acceptor.bind(asio::local::stream_protocol::endpoint(path.native()), error);
    if (error) {
        throw_errno("bind", path.native(), error.value());
    }
    ScopeExit remove([&] { ::unlink(path.c_str()); });
    if (::chmod(path.c_str(), spec.mode) != 0 || ::chown(path.c_str(), spec.uid, spec.gid) != 0) {
        throw_errno("set the owner of", path.native());
    }
    acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
        throw_errno("listen on", path.native(), error.value());
    }
    remove.release();
    return acceptor;
}

HostSockets::Listening HostSockets::listen(const HostSocketSpec& spec) {
    auto acceptor = std::make_shared<Acceptor>(bind(spec));
    if (tasks_.size() == 0) {
        tasks_.spawn("connections that the host does not want", drop_unwanted());
    }
    listening_.emplace(spec.number, acceptor);
    tasks_.spawn("socket of the host", accept(std::move(acceptor), spec.number));
    return {*this, spec.number};
}

void HostSockets::close(std::uint64_t number) noexcept {
    const auto node = listening_.extract(number);
    boost::system::error_code ignored;
    node.mapped()->close(ignored);
    ::unlink(path_of(number).c_str());
    std::erase_if(waiting_, [&](const auto& entry) { return entry.second.socket == number; });
    room_.set();
}

Awaitable<> HostSockets::accept(std::shared_ptr<Acceptor> acceptor, std::uint64_t number) {
    while (acceptor->is_open()) {
        if (waiting_.size() >= max_waiting) {
            room_.clear();
            co_await room_.wait();
            continue;
        }
        auto [error, socket] = co_await acceptor->async_accept(use_tuple);
        if (error == asio::error::operation_aborted) {
            continue;
        }
        if (error) {
            logger_.warn("Cannot accept a connection", {{"error", error.message()}});
            asio::steady_timer pause(executor_, pause_without_descriptors);
            co_await pause.async_wait(asio::use_awaitable);
            continue;
        }
        waiting_.emplace(
            ++last_connection_,
            Held{number, StreamSocket(std::move(socket)), deadline_in(fetch_timeout)}
        );
        come_.set();
        on_waiting_();
    }
}

// The oldest first: all have the same time.
Awaitable<> HostSockets::drop_unwanted() {
    asio::steady_timer timer(executor_);
    for (;;) {
        come_.clear();
        while (!waiting_.empty()) {
            timer.expires_at(waiting_.begin()->second.deadline);
            co_await timer.async_wait(asio::use_awaitable);
            if (!waiting_.empty() && waiting_.begin()->second.deadline <= timer.expiry()) {
                forget(waiting_.begin());
            }
        }
        co_await come_.wait();
    }
}

void HostSockets::forget(std::map<std::uint64_t, Held>::iterator entry) {
    waiting_.erase(entry);
    room_.set();
}

std::optional<HostSockets::Waiting> HostSockets::waiting_after(std::uint64_t connection) const {
    const auto next = waiting_.upper_bound(connection);
    if (next == waiting_.end()) {
        return std::nullopt;
    }
    return Waiting{next->first, next->second.socket};
}

std::optional<StreamSocket> HostSockets::take(std::uint64_t connection) {
    const auto found = waiting_.find(connection);
    if (found == waiting_.end()) {
        return std::nullopt;
    }
    std::optional<StreamSocket> socket(std::move(found->second.connection));
    forget(found);
    return socket;
}

Awaitable<> HostSockets::stop() {
    co_await tasks_.stop();
    waiting_.clear();
}

} // namespace cppvm::guest
