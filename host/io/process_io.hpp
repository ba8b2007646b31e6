#pragma once

#include "common/async/asio.hpp"
#include "common/async/event.hpp"
#include "common/async/run_once.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"
#include "host/io/fifo.hpp"
#include "host/io/guest_stream.hpp"
#include "host/io/output_pump.hpp"
#include "host/io/output_sink.hpp"
#include "host/io/output_targets.hpp"

#include <memory>
#include <optional>
#include <string>

namespace cppvm::io {

/// Stdio of a process as containerd asked for it: empty (none), a path (fifo, device, existing
/// file), `file://`, `binary://`, `binary-v2://` or `ttrpc+unix://`.
struct StdioSpec {
    std::string stdin_uri;
    std::string stdout_uri;
    std::string stderr_uri;
    bool terminal = false; ///< one output stream, stdout; stderr_uri does not matter
};

/// Joins one process's stdio on the host with its streams to the guest.
///
/// Order of calls: open; attach once the guest's connections are there; close_stdin at any time;
/// after the process has exited drained; stop before destruction.
///
/// containerd may vanish and come back at any time: the process goes on, waits when a fifo is full,
/// and no byte is lost. A client that goes is not the end of input; only `close_stdin` allows that.
///
/// Owns: fifos, files, the logging program, the connections. Thread: the loop's only. SIGPIPE must
/// be ignored by the program (a logging program may end before its input does; the output is then
/// dropped with a warning).
class ProcessIo {
  public:
    /// Opens and checks everything; never waits for a reader or writer of a fifo, and no longer for
    /// a streaming server than streaming::Session::Limits say. A file or a logging program of
    /// stdout's takes stderr, too; one stream of both is opened once.
    /// `container_id` and `containerd_namespace` go to the logging program's environment, the
    /// latter to a streaming server as well. Throws: Error naming the stream and its path;
    /// invalid_argument and unimplemented as parse_stdio_target. Nothing is left then, nor when
    /// cancelled.
    static Awaitable<std::unique_ptr<ProcessIo>> open(
        asio::any_io_executor executor,
        Logger logger,
        StdioSpec spec,
        std::string containerd_namespace,
        std::string container_id
    );

    ProcessIo(const ProcessIo&) = delete;
    ProcessIo& operator=(const ProcessIo&) = delete;
    /// `stop` was awaited.
    ~ProcessIo();

    /// Which streams the guest has to be given; the others are /dev/null there.
    bool has_stdin() const noexcept { return input_ != nullptr; }
    bool has_stdout() const noexcept { return outputs_[0].wanted; }
    bool has_stderr() const noexcept { return outputs_[1].wanted; }

    /// Starts to copy. Call once. A stream that the guest was not given ends at once.
    void attach(
        std::optional<GuestStream> in,
        std::optional<GuestStream> out,
        std::optional<GuestStream> err
    );

    /// CloseIO: the guest's input ends once every client has closed the fifo and it is empty.
    /// Idempotent; may come before `attach`.
    void close_stdin() noexcept;

    /// For a process that has exited, before that is told: ends its input and waits until the
    /// readers have all of its output; no longer than `deadline`, nor while the guest has a stream
    /// open and sends nothing for `max_silence`. The client library of containerd 1.6, so ctr and
    /// the CRI plugin, closes its ends when it hears of the exit, whatever is unread. Cancels: may
    /// be called again.
    Awaitable<> delivered(Deadline deadline);
    static constexpr std::chrono::milliseconds max_silence{250};

    /// For a process that has exited: ends its input and waits until all output has come, however
    /// long somebody else in the guest holds a stream open. False if `drained` has cut some off.
    /// Cancels: may be called again.
    Awaitable<bool> ended();

    /// As `ended`; but after `deadline`, a stream that the guest still holds open (a grandchild may
    /// have the pipe) is cut off as soon as nothing comes for a second (OutputPump::last_call), and
    /// false comes back. Either way each fifo is closed as soon as its reader has, or can have, all
    /// of it; with containerd away that is when it is back. So `stop` is best left until the
    /// process is deleted. Cancels: may be called again.
    Awaitable<bool> drained(Deadline deadline);

    /// Stops copying, closes everything, unread or not, ends the logging program (up to 13 s, only
    /// if it does not end by itself). Every caller returns when that is done; does not throw.
    Awaitable<> stop();

  private:
    // First a sink, then (attached) a pump that owns it, then neither.
    struct Output {
        bool wanted = false;
        std::unique_ptr<OutputSink> sink;
        std::unique_ptr<OutputPump> pump;
    };

    ProcessIo(
        const asio::any_io_executor& executor,
        Logger logger,
        std::string containerd_namespace,
        std::string container_id
    );

    Awaitable<> open_all(StdioSpec spec);
    Awaitable<> open_input(std::string uri);
    void attach_output(Output& output, std::optional<GuestStream> stream, const char* name);
    Awaitable<> run_input(GuestStream stream);
    Awaitable<bool> read_input(stream::SentBytes& bytes);
    Awaitable<> run_output(Output& output);
    std::uint64_t received() const noexcept;
    void end_input() noexcept;
    Awaitable<> do_stop();

    asio::any_io_executor executor_;
    Logger logger_;
    std::string namespace_;
    std::unique_ptr<InputSource> input_;
    Output outputs_[2];     // stdout, stderr
    OutputTargets targets_; ///< of the sinks
    int running_outputs_ = 0;
    int open_outputs_ = 0;
    Event outputs_ended_;  ///< the guest has sent all
    Event outputs_closed_; ///< and the readers have it
    bool cut_off_ = false;
    RunOnce stopped_;
    TaskGroup tasks_;
};

} // namespace cppvm::io
