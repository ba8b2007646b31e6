#include "host/watches/volume_watches.hpp"

#include "common/async/adopt.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "host/watches/confine.hpp"
#include "host/watches/watch_work.hpp"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <sys/inotify.h>
#include <unistd.h>

namespace cppvm::watches {

namespace {

constexpr std::chrono::seconds add_timeout{5}; // less than the guest's
constexpr std::chrono::seconds end_timeout{1}; // it may be stuck in a volume
// The kernel tells the halves of a move one after the other.
constexpr std::chrono::milliseconds other_half_timeout{20};
constexpr int max_changes_of_request = 256;
constexpr std::size_t max_orders = 4096;
constexpr std::size_t max_request = std::size_t{64} * 1024;

} // namespace

VolumeWatches::VolumeWatches(
    const asio::any_io_executor& executor, Logger logger, std::function<int()> name_space, Tell tell
)
    : executor_(executor), logger_(logger), name_space_(std::move(name_space)),
      tell_(std::move(tell)), ordered_(executor), opened_(executor), news_(executor),
      tasks_(executor, std::move(logger)) {}

void VolumeWatches::want(const agent::v2::Event::WatchWanted& wanted) {
    if (!std::exchange(runs_, true)) {
        tasks_.spawn("add watches", add_all());
        tasks_.spawn("read changes", read_changes());
        tasks_.spawn("tell changes", tell_all());
    }
    if (begun_.size() >= max_watches) {
        return; // it does not take the answers that it asks for
    }
    const bool fits = descriptors_.size() < max_watches && orders_.size() < max_orders &&
                      wanted.path().size() < PATH_MAX;
    if (!fits || !descriptors_.emplace(wanted.watch(), -1).second) {
        report_loss("no more files can be watched for one machine");
        answer(wanted.watch(), ENOSPC);
        return;
    }
    orders_.push_back({wanted.watch(), wanted.path(), wanted.inode()});
    ordered_.set();
}

void VolumeWatches::drop(const agent::v2::Event::WatchUnwanted& unwanted) {
    for (const std::uint64_t watch : unwanted.watches()) {
        std::erase_if(orders_, [&](const Order& order) { return order.watch == watch; });
        unwatch(watch);
    }
    close_if_unused();
}

void VolumeWatches::unwatch(std::uint64_t watch) {
    const auto node = descriptors_.extract(watch);
    const auto of = node ? watches_.find(node.mapped()) : watches_.end();
    if (of == watches_.end()) {
        return;
    }
    of->second.erase(watch);
    if (of->second.empty()) {
        ::inotify_rm_watch(inotify_->native_handle(), of->first);
        watches_.erase(of);
    }
}

void VolumeWatches::open() {
    if (!inotify_) {
        UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        if (!inotify) {
            throw_errno("make", "an inotify instance (fs.inotify.max_user_instances)");
        }
        inotify_ = std::make_unique<asio::posix::stream_descriptor>(executor_);
        adopt(*inotify_, std::move(inotify));
        opened_.set();
    }
    if (!adder_) {
        const int name_space = name_space_();
        if (name_space < 0) {
            throw Error(Code::failed_precondition, "watch files of volumes: there is no share");
        }
        const int inotify = inotify_->native_handle();
        adder_ = std::make_shared<ForkedChild>(
            executor_,
            "watch files of volumes",
            std::vector{name_space, inotify},
            [name_space, inotify, confinement = confine_watcher()](ParentLink& parent) {
                add_watches(parent, name_space, inotify, confinement);
            }
        );
    }
}

void VolumeWatches::close_if_unused() {
    if (descriptors_.empty()) {
        adder_.reset();
        opened_.clear();
        inotify_.reset();
        watches_.clear();
    }
}

Awaitable<> VolumeWatches::add_all() {
    for (;;) {
        ordered_.clear();
        while (!orders_.empty()) {
            const Order order = std::move(orders_.front());
            orders_.pop_front();
            const int descriptor = co_await add(order);
            if (!descriptors_.contains(order.watch)) {
                if (descriptor >= 0 && inotify_ && !watches_.contains(descriptor)) {
                    ::inotify_rm_watch(inotify_->native_handle(), descriptor);
                }
            } else if (descriptor < 0) {
                descriptors_.erase(order.watch);
                answer(order.watch, -descriptor);
            } else {
                begin(order.watch, descriptor);
            }
            close_if_unused();
        }
        co_await ordered_.wait();
    }
}

Awaitable<int> VolumeWatches::add(const Order& order) {
    try {
        open();
        // Its owner may close it meanwhile.
        const auto adder = adder_;
        const WatchOrder head{order.inode};
        adder->send(to_message<WatchOrder>({&head, 1}) + order.path);
        const std::string answer = co_await adder->receive(deadline_in(add_timeout));
        const int result = from_message<int>(answer).at(0);
        if (result == -ENOSPC) {
            report_loss("no more watches of inotify on this host (fs.inotify.max_user_watches)");
        }
        co_return result;
    } catch (const Error& error) {
        adder_.reset();
        report_loss(error.what());
        co_return error.cause().value() != 0 ? -error.cause().value() : -EIO;
    }
}

void VolumeWatches::begin(std::uint64_t watch, int descriptor) {
    descriptors_[watch] = descriptor;
    watches_[descriptor].insert(watch);
    answer(watch, 0);
}

void VolumeWatches::answer(std::uint64_t watch, int error) {
    Begun begun;
    begun.set_watch(watch);
    begun.set_error(error);
    begun_.push_back(std::move(begun));
    news_.set();
}

Awaitable<> VolumeWatches::read_changes() {
    for (;;) {
        co_await opened_.wait();
        if (!inotify_) {
            continue; // closed since
        }
        co_await inotify_->async_wait(asio::posix::stream_descriptor::wait_read, use_tuple);
        if (inotify_) {
            read_available();
        }
    }
}

void VolumeWatches::read_available() {
    alignas(inotify_event) std::array<char, 65536> buffer{};
    for (;;) {
        const ssize_t size = ::read(inotify_->native_handle(), buffer.data(), buffer.size());
        if (size <= 0) {
            return;
        }
        for (ssize_t at = 0; at < size;) {
            inotify_event event{};
            std::memcpy(&event, buffer.data() + at, sizeof event);
            const char* const name = buffer.data() + at + sizeof event;
            hear(
                event.wd,
                event.mask,
                event.cookie,
                {name, event.len == 0 ? 0 : ::strnlen(name, event.len)}
            );
            at += static_cast<ssize_t>(sizeof event + event.len);
        }
    }
}

void VolumeWatches::hear(
    int descriptor, std::uint32_t mask, std::uint32_t cookie, std::string_view name
) {
    if ((mask & IN_Q_OVERFLOW) != 0) {
        report_loss("too many changes at once (fs.inotify.max_queued_events)");
        return;
    }
    const auto of = watches_.find(descriptor);
    if (of == watches_.end()) {
        return; // it was given up
    }
    for (const std::uint64_t watch : of->second) {
        if (changes_.size() >= max_changes) {
            report_loss("the guest does not take note of as many changes as there are");
            return;
        }
        Change change;
        change.set_watch(watch);
        change.set_mask(mask);
        change.set_cookie(cookie);
        change.set_name(name.data(), name.size());
        changes_.push_back(std::move(change));
    }
    if ((mask & IN_IGNORED) != 0) { // the file has gone, or its file system
        for (const std::uint64_t watch : of->second) {
            descriptors_.erase(watch);
        }
        watches_.erase(of);
    }
    news_.set();
}

// Not for each: it could be said as often as the guest likes.
void VolumeWatches::report_loss(const char* what) {
    if (!std::exchange(warned_, true)) {
        logger_.warn("Containers do not hear of all changes to volumes", {{"because", what}});
    }
}

agent::v2::ReplayRequest VolumeWatches::next_request() {
    agent::v2::ReplayRequest request;
    request.set_number(++last_request_);
    std::size_t size = 0;
    while (!begun_.empty() && request.begun_size() < max_changes_of_request) {
        *request.add_begun() = std::move(begun_.front());
        begun_.pop_front();
    }
    while (!changes_.empty() && request.changes_size() < max_changes_of_request &&
           size < max_request) {
        size += changes_.front().ByteSizeLong();
        *request.add_changes() = std::move(changes_.front());
        changes_.pop_front();
    }
    return request;
}

Awaitable<> VolumeWatches::tell_all() {
    asio::steady_timer timer(executor_);
    for (;;) {
        while (!begun_.empty() || !changes_.empty()) {
            if (!changes_.empty() && (changes_.back().mask() & IN_MOVED_FROM) != 0) {
                timer.expires_after(other_half_timeout);
                co_await timer.async_wait(asio::use_awaitable);
            }
            try {
                co_await tell_(next_request());
            } catch (const Error& error) {
                report_loss(error.what());
            }
        }
        news_.clear();
        co_await news_.wait();
    }
}

Awaitable<> VolumeWatches::stop() {
    co_await tasks_.stop();
    if (adder_) {
        adder_->kill();
        try {
            co_await adder_->finish(deadline_in(end_timeout));
        } catch (const Error&) { // NOLINT(bugprone-empty-catch): that it was killed
        }
        adder_.reset();
    }
    inotify_.reset();
}

} // namespace cppvm::watches
