#include "guest-agent/watches/watches.hpp"

#include "common/async/adopt.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/wire/ports.hpp"
#include "guest-agent/watches/shadow.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

namespace cppvm::guest {

namespace {

// For the host's files, which may not answer; then the call goes on without the host.
constexpr std::chrono::seconds watch_timeout{10};
constexpr std::chrono::seconds shadow_timeout{30};
constexpr std::chrono::seconds sweep_interval{10};

std::optional<seccomp_notif> receive_call(int listener) {
    pollfd ready{listener, POLLIN, 0};
    seccomp_notif call{};
    if (::poll(&ready, 1, 0) != 1 || (ready.revents & POLLIN) == 0 ||
        ::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
        return std::nullopt; // its thread was killed
    }
    return call;
}

bool has_ended(int listener) {
    pollfd state{listener, POLLIN, 0};
    return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

/// Nothing: the kernel makes the call as it is.
void answer_call(int listener, std::uint64_t id, std::optional<int> descriptor) {
    seccomp_notif_resp answer{};
    answer.id = id;
    if (descriptor) {
        answer.val = *descriptor;
    } else {
        answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    }
    static_cast<void>(::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer));
}

WatchCall to_call(const seccomp_notif& call) {
    return {
        static_cast<pid_t>(call.pid),
        static_cast<int>(call.data.args[0]),
        call.data.args[1],
        static_cast<std::uint32_t>(call.data.args[2])
    };
}

} // namespace

Watches::Watches(const asio::any_io_executor& executor, Logger logger, std::string share)
    : executor_(executor), logger_(logger), share_(std::move(share)), shadow_turn_(executor),
      look_(executor), tasks_(executor, std::move(logger)) {}

void Watches::listen(UniqueFd listener, std::vector<std::string> volumes) {
    tasks_.spawn(
        "watches of volumes",
        answer_calls(to_descriptor(executor_, std::move(listener)), std::move(volumes))
    );
}

Awaitable<> Watches::answer_calls(Listener listener, std::vector<std::string> volumes) {
    while (!has_ended(listener.native_handle())) {
        co_await listener.async_wait(Listener::wait_read, asio::use_awaitable);
        const auto notification = receive_call(listener.native_handle());
        if (!notification) {
            continue;
        }
        std::optional<int> descriptor;
        try {
            descriptor = co_await add(to_call(*notification), volumes);
        } catch (const Error& error) {
            logger_.warn(
                "A watch in a volume hears of this machine's changes only, not of the host's",
                {{"error", error.message()}}
            );
        }
        answer_call(listener.native_handle(), notification->id, descriptor);
    }
    look_.set();
}

Awaitable<std::optional<int>>
Watches::add(WatchCall call, const std::vector<std::string>& volumes) {
    if (!hears_of_changes(call.mask)) {
        co_return std::nullopt;
    }
    const Deadline deadline = deadline_in(watch_timeout);
    ForkedChild child(executor_, "look up what is watched", {}, [&](ParentLink& parent) {
        resolve_watch(parent, call, share_, volumes);
    });
    const std::string found = co_await child.receive(deadline);
    if (found.empty()) {
        co_return std::nullopt;
    }
    const auto target = from_message<WatchTarget>(found).at(0);
    const std::string path = co_await child.receive(deadline);
    // Somebody else's watch of the same file may end meanwhile, and with it what is watched.
    for (;;) {
        const auto watched = want(target, path);
        co_await with_timeout(
            watched->begun.wait(), deadline, "wait for the host to watch " + path
        );
        if (watched->error != 0) {
            throw_errno("watch", path + " on the host", watched->error);
        }
        const auto descriptor = co_await add_to_shadow(watched, call, target, path);
        if (descriptor) {
            // What fails, the kernel is to say.
            co_return *descriptor < 0 ? std::nullopt : descriptor;
        }
    }
}

std::shared_ptr<Watches::Watched>
Watches::want(const WatchTarget& target, const std::string& path) {
    const FileId file{target.device, target.inode};
    if (const auto found = by_file_.find(file); found != by_file_.end()) {
        return found->second;
    }
    if (by_file_.size() >= max_watches) {
        throw Error(
            Code::resource_exhausted,
            "watch " + path + ": the containers watch " + std::to_string(max_watches) +
                " files of volumes already"
        );
    }
    auto watched = std::make_shared<Watched>(executor_, ++last_number_, file);
    by_file_.emplace(file, watched);
    by_number_.emplace(watched->number, watched);
    agent::v2::Event event;
    event.mutable_watch_wanted()->set_watch(watched->number);
    event.mutable_watch_wanted()->set_path(path.substr(std::strlen(wire::volumes_directory) + 1));
    event.mutable_watch_wanted()->set_inode(target.inode);
    on_event_(std::move(event));
    if (!std::exchange(sweeps_, true)) {
        tasks_.spawn("sweep watches", sweep());
    }
    return watched;
}

/// Nothing: it is not watched any more.
Awaitable<std::optional<int>> Watches::add_to_shadow(
    std::shared_ptr<Watched> watched, WatchCall call, WatchTarget target, std::string path
) {
    const Turn::Held turn = co_await shadow_turn_.take();
    if (!by_number_.contains(watched->number)) {
        co_return std::nullopt;
    }
    const ShadowWatch watch{
        watched->number,
        target.is_directory,
        target.process,
        call.inotify,
        mask_of_changes(call.mask)
    };
    std::string request(1, static_cast<char>(ShadowRequest::add));
    request += to_message<ShadowWatch>({&watch, 1});
    request += path.substr(std::strlen(wire::volumes_directory) + 1);
    const auto descriptor = from_message<int>(co_await ask_shadow(std::move(request))).at(0);
    watched->added = watched->added || descriptor >= 0;
    co_return descriptor;
}

// Whoever calls it has the turn.
Awaitable<std::string> Watches::ask_shadow(std::string request) {
    try {
        if (!shadow_) {
            shadow_ = std::make_unique<ForkedChild>(
                executor_,
                "shadow of volumes",
                std::vector<int>{},
                [volumes = share_ + "/" + wire::volumes_directory](ParentLink& parent) {
                    serve_shadow_requests(parent, volumes);
                }
            );
        }
        shadow_->send(request);
        co_return co_await shadow_->receive(deadline_in(shadow_timeout));
    } catch (const Error& error) {
        // Its file system goes with it; who watches there is told that it was unmounted.
        logger_.error("Watches of volumes are lost", {{"error", error.message()}});
        shadow_.reset();
        std::set<std::uint64_t> all;
        for (const auto& [number, watched] : by_number_) {
            all.insert(number);
        }
        drop(all);
        throw;
    }
}

void Watches::drop(const std::set<std::uint64_t>& numbers) {
    agent::v2::Event event;
    for (const std::uint64_t number : numbers) {
        const auto node = by_number_.extract(number);
        if (node) {
            by_file_.erase(node.mapped()->file);
            event.mutable_watch_unwanted()->add_watches(number);
        }
    }
    if (event.has_watch_unwanted()) {
        on_event_(std::move(event));
    }
}

// Nobody tells when a watch ends: with its descriptor, its process, or by inotify_rm_watch(2).
Awaitable<> Watches::sweep() {
    while (!by_number_.empty()) {
        look_.clear();
        try {
            co_await with_timeout(look_.wait(), deadline_in(sweep_interval), "wait");
        } catch (const Error& error) {
            if (error.code() != Code::deadline_exceeded) {
                throw;
            }
        }
        co_await sweep_once();
    }
    sweeps_ = false;
}

Awaitable<> Watches::sweep_once() {
    const Turn::Held turn = co_await shadow_turn_.take();
    std::set<std::uint64_t> dead;
    for (const auto& [number, watched] : by_number_) {
        // Those that could not be added; for those that wait for the host somebody still waits.
        if (watched->begun.is_set() && !watched->added) {
            dead.insert(number);
        }
    }
    if (shadow_) {
        try {
            const std::string request(1, static_cast<char>(ShadowRequest::sweep));
            for (const auto number : from_message<std::uint64_t>(co_await ask_shadow(request))) {
                dead.insert(number);
            }
        } catch (const Error&) { // NOLINT(bugprone-empty-catch): it has been logged
        }
    }
    drop(dead);
    if (by_number_.empty()) {
        shadow_.reset();
    }
}

Awaitable<> Watches::replay(agent::v2::ReplayRequest request) {
    const Turn::Held turn = co_await shadow_turn_.take();
    if (request.number() <= last_replay_) {
        co_return;
    }
    last_replay_ = request.number();
    for (const auto& begun : request.begun()) {
        if (const auto found = by_number_.find(begun.watch()); found != by_number_.end()) {
            found->second->error = begun.error();
            found->second->begun.set();
        }
    }
    if (!shadow_ || request.changes().empty()) {
        co_return;
    }
    request.clear_begun();
    std::string message(1, static_cast<char>(ShadowRequest::replay));
    co_await ask_shadow(message + request.SerializeAsString());
    std::set<std::uint64_t> deleted;
    for (const auto& change : request.changes()) {
        if ((change.mask() & (IN_DELETE_SELF | IN_IGNORED)) != 0) {
            deleted.insert(change.watch());
        }
    }
    drop(deleted);
}

Awaitable<> Watches::stop() {
    co_await tasks_.stop();
    shadow_.reset();
}

} // namespace cppvm::guest
