#include "host/shim/daemon.hpp"

#include "common/base/build_id.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/cgroup/location.hpp"
#include "host/cgroup/sandbox_cgroup.hpp"
#include "host/config/programs.hpp"
#include "host/rundir/description.hpp"
#include "host/rundir/leftovers.hpp"
#include "host/rundir/run_dir_lock.hpp"
#include "host/shim/ending_signals.hpp"
#include "host/shim/fifo_sink.hpp"
#include "host/shim/launch.hpp"
#include "host/shim/process_settings.hpp"
#include "host/shim/serve.hpp"
#include "host/shim/shim_socket.hpp"
#include "host/shim/start_record.hpp"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <optional>
#include <string_view>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace cppvm::shim {

namespace {

// A daemon of the same sandbox that is ending; `delete` would have ended it in this time.
constexpr std::chrono::milliseconds lock_timeout(8000);
constexpr std::chrono::milliseconds start_timeout(30'000);
constexpr std::chrono::seconds undo_timeout(5);

constexpr mode_t daemon_umask = 022;

int socket_option(int fd, int option) {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

UniqueFd take_over(int fd, bool listens) {
    if (socket_option(fd, SO_ACCEPTCONN) != (listens ? 1 : 0)) {
        throw Error(
            Code::failed_precondition,
            "no action given, and descriptor " + std::to_string(fd) +
                " is not from the start command, which alone launches the daemon; see -help"
        );
    }
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    return UniqueFd(fd);
}

LogLevel effective_level(const config::Config& config, const std::string& wanted) {
    const auto configured = parse_log_level(config.log.level).value_or(LogLevel::info);
    const auto asked = parse_log_level(wanted);
    return asked ? std::min(configured, *asked) : configured;
}

/// What the daemon holds from its start to its end.
class Daemon {
  public:
    Daemon(const CommandLine& line, const StartRecord& record, UniqueFd listener)
        : record_(record), config_(config::parse(record.config, "cppvm-start.json")),
          level_(effective_level(config_, record.log_level)),
          identity_(line.address, line.containerd_namespace, record.pod.sandbox_id),
          bundle_(line.bundle), logger_(Logger(make_fifo_sink(bundle_ / "log"), level_)
                                            .with(
                                                {{"namespace", identity_.containerd_namespace()},
                                                 {"sandbox", identity_.sandbox_id()}}
                                            )),
          stand_in_program_(config::find_program("cppvm-standin", {})),
          socket_(ShimSocket::adopt(std::move(listener), record.socket)), lock_(take_run_dir()) {}
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    ~Daemon() {
        // The socket goes with its member, after the run directory: while it is there, a start for
        // the same sandbox fails to get the lock rather than finding half of it.
        leave_cgroup();
        try {
            remove_run_dir();
        } catch (const std::exception& exception) {
            logger_.warn("Run directory may be left", {{"error", exception.what()}});
        }
    }

    void prepare() {
        if (!lock_.holds_nothing_else()) {
            logger_.warn("Cleaning up after an earlier daemon of this sandbox");
            if (!undo()) {
                throw Error(
                    Code::failed_precondition,
                    "something of an earlier sandbox of this id is left in " +
                        lock_.run_dir().native() + "; see the log"
                );
            }
        }
        lock_.write_daemon_pid();
        describe();
        if (!record_.pod.awaits_create) {
            enter_cgroup(record_.pod);
        }
        if (!raise_oom_score()) {
            logger_.info("Could not set oom_score_adj");
        }
        const char* const sched_core = std::getenv("SCHED_CORE");
        if (sched_core != nullptr && std::string_view(sched_core) == "1") {
            isolate_cores();
        }
    }

    int serve(UniqueFd ending_signals) {
        logger_.debug("Daemon started", {{"config", record_.config_sources}});
        undone_ = false;
        try {
            const int code = shim::serve(DaemonSpec{
                .identity = identity_,
                .pod = record_.pod,
                .id = record_.id,
                .bundle = bundle_,
                .ttrpc_address = record_.ttrpc_address,
                .publish_binary = record_.publish_binary,
                .config = config_,
                .logger = logger_,
                .log_level = level_,
                .stand_in_program = stand_in_program_,
                .run_dir = lock_.run_dir(),
                .listener = socket_.take_listener(),
                .ending_signals = std::move(ending_signals),
                .memory = pod_memory(),
                .on_created = [this](const pod::PodSpec& pod) { take_pod(pod); },
                .on_stopped = [this] { leave_cgroup(); },
                .on_shutting_down = [this] { step_out_of_cgroup(); },
                .on_ending = [this] { on_shutdown_begun(); },
            });
            undone_ = code == 0;
            return code;
        } catch (...) {
            const Status status = to_status(std::current_exception());
            logger_.error("Daemon failed", {{"error", status.message}});
            return 1;
        }
    }

  private:
    // containerd may start a sandbox of the same id from now on: it gets a socket of its own at
    // once, and waits for the run directory.
    void on_shutdown_begun() {
        try {
            lock_.mark_ending();
            socket_.unlink_name();
        } catch (const Error& error) {
            logger_.warn(
                "Could not mark the shutdown, delete will have to wait for it",
                {{"error", error.message()}}
            );
        }
    }

    void describe() const {
        try {
            write_description(
                lock_.run_dir(),
                {.sandbox_id = identity_.sandbox_id(),
                 .containerd_namespace = identity_.containerd_namespace(),
                 .address = identity_.grpc_address(),
                 .bundle = bundle_,
                 .version = std::string(version()),
                 .build_id = std::string(build_id()),
                 .daemon = ::getpid(),
                 .started = std::chrono::system_clock::now()}
            );
        } catch (const Error& error) {
            logger_.warn("Could not write sandbox.json", {{"error", error.message()}});
        }
    }

    // `delete` is to know the pod's network after a daemon that was killed.
    void take_pod(const pod::PodSpec& pod) {
        enter_cgroup(pod);
        StartRecord record = record_;
        record.pod = pod;
        try {
            write_start_record(bundle_, record);
        } catch (const Error& error) {
            logger_.warn("Could not record the pod", {{"error", error.message()}});
        }
    }

    // A host whose cgroups are not ours to make can run machines all the same.
    void enter_cgroup(const pod::PodSpec& pod) {
        const std::string& path = pod.cgroups_path;
        const auto location = cgroup::sandbox_cgroup(path, identity_.domain_name());
        if (!path.empty() && !cgroup::is_cgroups_path(path)) {
            logger_.warn(
                "linux.cgroupsPath has no effect: neither a path nor SLICE:PREFIX:NAME",
                {{"cgroups_path", path}, {"used", location.native()}}
            );
        }
        try {
            cgroup_.emplace(location, cgroup::find_hierarchies(), cgroup_record(lock_.run_dir()));
        } catch (const Error& error) {
            logger_.warn("The sandbox has no cgroup of its own", {{"error", error.message()}});
        }
    }

    sandbox::PodMemory pod_memory() {
        return {
            .limit = [this] { return cgroup_ ? cgroup_->memory_limit() : std::nullopt; },
            .kills = [this] { return cgroup_ ? cgroup_->memory_kills() : 0; },
        };
    }

    // containerd takes its answer for the end of the pod, and the kubelet kills what it finds in a
    // stopped pod's cgroup: machine and helpers, which are about to be ended, but not who ends
    // them.
    void step_out_of_cgroup() noexcept {
        if (cgroup_) {
            cgroup_->step_out();
        }
    }

    // A stopped pod's cgroup is the kubelet's again: it kills what it finds there.
    void leave_cgroup() noexcept {
        if (cgroup_ && !cgroup_->leave()) {
            logger_.warn("The sandbox's cgroup is left: processes are in it");
        }
        cgroup_.reset();
    }

    RunDirLock take_run_dir() {
        auto lock = RunDirLock::take(identity_.run_dir(config_.run_dir), lock_timeout);
        if (!lock) {
            throw Error(
                Code::failed_precondition,
                "sandbox " + identity_.sandbox_id() +
                    ": its run directory is held by another process (`lslocks` names it)"
            );
        }
        return std::move(*lock);
    }

    void remove_run_dir() {
        if (undone_) {
            try {
                lock_.remove();
                return;
            } catch (const Error& error) {
                logger_.warn("Parts of the sandbox are left", {{"error", error.message()}});
            }
        }
        // What it could not undo it has logged; the files are of no use to anybody in any case.
        undo();
        lock_.remove();
    }

    bool undo() noexcept {
        return undo_leftovers(identity_, config_, logger_, deadline_in(undo_timeout));
    }

    const StartRecord& record_;
    config::Config config_;
    LogLevel level_;
    Identity identity_;
    std::filesystem::path bundle_;
    Logger logger_;
    std::filesystem::path stand_in_program_; // looked for while `start` can still report it
    ShimSocket socket_;
    RunDirLock lock_;
    std::optional<cgroup::SandboxCgroup> cgroup_;
    bool undone_ = true; // but for files: nothing runs, nothing is mounted
};

} // namespace

int run_daemon(const CommandLine& line) {
    UniqueFd listener = take_over(listener_fd, true);
    StartChannel channel(take_over(channel_fd, false));
    ::umask(daemon_umask);
    ::prctl(PR_SET_NAME, "containerd-shim"); // where the program was executed as /proc/self/exe
    try {
        UniqueFd ending_signals = catch_ending_signals();
        const StartRecord record = read_start_record(line.bundle);
        Daemon daemon(line, record, std::move(listener));
        daemon.prepare();
        if (!channel.ready_and_wait(start_timeout)) {
            return 1;
        }
        channel = StartChannel(UniqueFd());
        return daemon.serve(std::move(ending_signals));
    } catch (...) {
        channel.failed(to_status(std::current_exception()).message);
        return 1;
    }
}

} // namespace cppvm::shim
