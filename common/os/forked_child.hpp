#pragma once

#include "common/async/asio.hpp"
#include "common/base/plain_message.hpp"
#include "common/base/unique_fd.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm {

/// The child's end of the conversation with whoever started it. Blocks: every call.
class ParentLink {
  public:
    explicit ParentLink(int fd) : fd_(fd) {}

    /// What begins now: part of the error if the deadline passes before the next message.
    void begin(std::string_view step);

    /// Throws: Error if the parent is gone.
    void send(std::string_view message);
    /// The parent's next message. Throws: Error if it is gone.
    std::string receive();

  private:
    int fd_;
};

/// Work in a forked child: for system calls that may never return, as on a volume whose server does
/// not answer, and for those that change the process (setns(2)).
///
/// The child has a copy of everything in memory, and of descriptors only those that it was given:
/// should it never end, it holds no lock, listener or socket of ours. It has none of our other
/// threads, so it must not use what they may have locked; nor the loop.
///
/// Owns: the child, which the destructor kills. It is not waited for: one that is stuck in the
/// kernel is reaped when it gets out of there, or by init after our end.
/// Thread: the loop's only.
class ForkedChild {
  public:
    using Work = std::function<void(ParentLink&)>;

    /// Starts `work`, with `descriptors` under the numbers that they have here. `name` begins the
    /// text of errors: "prepare storage of container c1". Throws: Error.
    ForkedChild(
        const asio::any_io_executor& executor,
        std::string name,
        const std::vector<int>& descriptors,
        const Work& work
    );
    ForkedChild(const ForkedChild&) = delete;
    ForkedChild& operator=(const ForkedChild&) = delete;
    ~ForkedChild();

    /// The child's next message. Throws: what `work` threw, as an Error with its code and cause;
    /// Error (deadline_exceeded) that names the step; Error (unavailable) if the child was killed.
    /// Cancels: the wait.
    Awaitable<std::string> receive(Deadline deadline);

    /// Does not block: a message fits as long as the child reads what it is sent. Throws: Error.
    void send(std::string_view message);

    /// Until `work` has returned. Throws, cancels: as `receive`.
    Awaitable<> finish(Deadline deadline);

    /// A namespace that it is in, while it lives: "mnt", "net" (proc(5), /proc/PID/ns). Throws:
    /// Error.
    UniqueFd open_namespace(const char* kind) const;

    /// SIGKILL: whoever waits for the child is told so at once if it was not stuck in the kernel.
    void kill() noexcept;

  private:
    struct Message {
        char kind = 0;
        std::string text;
    };

    Awaitable<Message> next(Deadline deadline);
    Awaitable<> wait_readable();
    Awaitable<> wait_end();

    std::string name_;
    std::string step_;
    asio::posix::stream_descriptor socket_;
    asio::posix::stream_descriptor pidfd_;
    pid_t pid_ = -1;
};

} // namespace cppvm
