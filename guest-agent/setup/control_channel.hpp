#pragma once

#include "common/async/asio.hpp"
#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <optional>
#include <string>
#include <utility>

namespace cppvm::guest {

/// What agent and child tell each other before the child becomes the container's program. Its end
/// without a failure means that it did, or that somebody killed it before: then its exit tells.
enum class ControlKind : char {
    mapped = 'M', ///< agent: the user namespace's mappings are written
    ready = 'R',  ///< child: everything is prepared; carries the terminal's master, if there is one
    go = 'G',     ///< agent, to an init that said it is ready: execute; child, to its helper: begin
    watches = 'W', ///< child, before it is ready: carries what install_watch_filter() gave it
    failed = 'F',  ///< child: code and text of what went wrong; it exits
    // Between a child in a user namespace and its helper (sources.hpp):
    ask = 'A',  ///< child: the text says for what
    lent = 'L', ///< helper: carries the descriptor; or else it answers `failed`
};

struct ControlMessage {
    ControlKind kind = ControlKind::failed;
    Code code = Code::unknown;
    std::string text;
    UniqueFd descriptor;
};

/// Largest text of a failure; longer ones are cut.
inline constexpr std::size_t max_control_text = 4096;

/// Two ends of a close-on-exec seqpacket socket: the first is the agent's (non-blocking).
std::pair<UniqueFd, UniqueFd> make_control_sockets();

/// The child's end: blocking, used between clone and exec.
/// Borrows: the descriptor.
class ChildControl {
  public:
    explicit ChildControl(int fd) : fd_(fd) {}

    int fd() const noexcept { return fd_; }
    /// Waits for one message. Throws: Error when the agent is gone or says another thing.
    void expect(ControlKind kind);
    void send(ControlKind kind) { send({kind, Code::unknown, {}, UniqueFd()}); }
    /// Text beyond max_control_text is cut.
    void send(const ControlMessage& message);
    /// Waits for one message; nothing at the end. Throws: Error.
    std::optional<ControlMessage> receive();
    void send_ready(int terminal_master);
    /// Does not throw: there is nobody else to tell.
    void send_failure(const Status& status) noexcept;

  private:
    int fd_;
};

/// The agent's end.
/// Owns: the descriptor. Thread: the loop's only.
class AgentControl {
  public:
    AgentControl(const asio::any_io_executor& executor, UniqueFd fd);

    /// The next message; nothing at the end (the child executed its program, or died).
    /// Cancels: nothing is lost. Throws: Error on a malformed message.
    Awaitable<std::optional<ControlMessage>> receive();

    /// False if the child is gone. Does not wait: the socket holds far more than is ever sent.
    bool send(ControlKind kind);

  private:
    asio::posix::stream_descriptor socket_;
};

} // namespace cppvm::guest
