#include "host/shim/delete.hpp"

#include "common/async/asio.hpp"
#include "common/async/run.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/process_id.hpp"
#include "host/config/config.hpp"
#include "host/hooks/hooks.hpp"
#include "host/network/pod_network.hpp"
#include "host/pod/guest_spec.hpp"
#include "host/pod/pod_spec.hpp"
#include "host/rundir/leftovers.hpp"
#include "host/rundir/run_dir_lock.hpp"
#include "host/rundir/task_record.hpp"
#include "host/shim/detached_work.hpp"
#include "host/shim/shim_socket.hpp"
#include "host/shim/start_record.hpp"
#include "proto/containerd/task.pb.h"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <optional>
#include <unistd.h>

namespace cppvm::shim {

namespace {

using std::chrono::milliseconds;

// containerd kills us after five seconds. What is not undone when we answer is undone behind its
// back.
constexpr milliseconds answer_budget(4000);
constexpr milliseconds whole_budget(3500);
// For a daemon that is ending, and for its end after SIGKILL.
constexpr milliseconds daemon_grace(2000);
constexpr milliseconds kill_grace(500);
// For a daemon that is ending in order.
constexpr milliseconds background_budget(15'000);
constexpr milliseconds background_grace(12'000);

constexpr std::uint32_t killed_status = 137;

class Deletion {
  public:
    Deletion(const CommandLine& line, const Logger& logger)
        : line_(line), logger_(logger), deadline_(deadline_in(whole_budget)) {}

    std::string run() {
        load_context();
        const Identity identity(line_.address, line_.containerd_namespace, pod_.sandbox_id);
        const std::optional<TaskRecord> task =
            bundle_.empty() ? std::nullopt : read_task_record(bundle_);
        run_detached(
            [&](const ReleaseParent& release_parent) {
                if (!bundle_.empty()) {
                    unmount_rootfs(bundle_, logger_);
                }
                undo_sandbox(identity, release_parent);
                run_poststop_hooks();
            },
            deadline_in(answer_budget)
        );
        return response(task);
    }

  private:
    // What start left in the bundle is best; the container's own configuration is next; without
    // either the container is taken to be a sandbox of its own, with the default configuration: if
    // it is not, nothing is found under its name.
    void load_context() {
        std::error_code error;
        bundle_ = line_.bundle.empty() ? std::filesystem::current_path(error) : line_.bundle;
        pod_.sandbox_id = line_.id;
        try {
            const StartRecord record = read_start_record(bundle_);
            pod_ = record.pod;
            socket_ = record.socket;
            config_ = config::parse(record.config, start_record_path(bundle_).native());
            return;
        } catch (const std::exception&) {
            // It is missing when the container came without a start, or start failed.
            config_.reset();
        }
        try {
            pod_ = pod::read_pod_spec(bundle_, line_.id);
        } catch (const std::exception&) {
            pod_ = {};
            pod_.sandbox_id = line_.id;
        }
    }

    config::Config config() {
        if (!config_) {
            try {
                config_ = config::load(config::default_path, false);
            } catch (const std::exception&) {
                config_.emplace();
            }
        }
        return *config_;
    }

    void undo_sandbox(const Identity& identity, const ReleaseParent& release_parent) {
        if (pod_.is_member) {
            return; // the sandbox's own delete does it
        }
        const auto run_dir = identity.run_dir(config().run_dir);
        std::error_code error;
        if (std::filesystem::is_directory(run_dir, error)) {
            undo_run_dir(identity, run_dir, release_parent);
        }
        remove_socket(identity);
    }

    void undo_run_dir(
        const Identity& identity,
        const std::filesystem::path& run_dir,
        const ReleaseParent& release_parent
    ) {
        try {
            auto lock = RunDirLock::take_existing(run_dir);
            if (!lock && pod_.sandbox_id != line_.id) {
                return; // others of its group go on
            }
            // Opened before the look at the mark: a next daemon removes that before it writes its
            // own pid, so with the mark there this is the one that is ending.
            const UniqueFd daemon = lock ? UniqueFd() : find_daemon(run_dir);
            if (daemon && is_ending(run_dir)) {
                // The usual end: everything that containerd knows of is undone, only the machine
                // is still going down. People who wait for containerd must not wait for that.
                release_parent();
                deadline_ = deadline_in(background_budget);
                grace_ = background_grace;
            }
            if (!lock) {
                lock = end_daemon(run_dir, daemon);
            }
            if (!lock) {
                return; // it removed the directory as its last act, or that was logged
            }
            clear_run_dir(*lock, identity, config(), logger_, deadline_);
            network::remove_leftovers(pod_.network);
        } catch (const std::exception& exception) {
            logger_.warn(
                "Parts of the sandbox may be left",
                {{"run_dir", run_dir.native()}, {"error", exception.what()}}
            );
        }
    }

    // Waits for the daemon to end by itself, or ends it. Returns the lock that it held, or nothing
    // if the directory is gone.
    std::optional<RunDirLock>
    end_daemon(const std::filesystem::path& run_dir, const UniqueFd& daemon) {
        if (daemon) {
            // Where it is ending already this changes nothing.
            signal_pidfd(daemon.get(), SIGTERM);
            const auto grace = std::min(left_until(deadline_), grace_);
            if (!wait_pidfd(daemon.get(), static_cast<int>(grace.count()))) {
                signal_pidfd(daemon.get(), SIGKILL);
                wait_pidfd(daemon.get(), static_cast<int>(kill_grace.count()));
            }
        }
        auto lock = RunDirLock::take_existing(
            run_dir, std::min(left_until(deadline_), daemon ? kill_grace : grace_)
        );
        if (!lock && std::filesystem::exists(run_dir)) {
            throw Error(
                Code::deadline_exceeded,
                "lock " + run_dir.native() + ": still held (`lslocks` names the process)"
            );
        }
        return lock;
    }

    UniqueFd find_daemon(const std::filesystem::path& run_dir) {
        try {
            const auto process = parse_process_id(read_file(daemon_pid_path(run_dir), 128));
            return process ? open_pidfd(*process) : UniqueFd();
        } catch (const Error&) {
            return {}; // no such file: the lock will tell
        }
    }

    // As the daemon would have, had it lived.
    void run_poststop_hooks() {
        if (bundle_.empty() || !hooks::is_poststop_due(bundle_)) {
            return;
        }
        try {
            pod::GuestSpec spec = pod::load_guest_spec(bundle_);
            asio::io_context loop;
            const auto errors = run_until_done(
                loop,
                hooks::run_all(
                    "poststop",
                    std::move(spec.hooks.poststop),
                    {spec.spec.oci_version, line_.id, "stopped", 0, bundle_, spec.annotations}
                )
            );
            for (const std::string& error : errors) {
                logger_.warn("A hook failed", {{"error", error}});
            }
            hooks::clear_poststop_due(bundle_);
        } catch (const std::exception& exception) {
            logger_.warn("Poststop hooks were not run", {{"error", exception.what()}});
        }
    }

    void remove_socket(const Identity& identity) {
        try {
            ShimSocket::remove_dead(
                socket_.empty() ? identity.socket_path(default_socket_dir)
                                : std::filesystem::path(socket_)
            );
        } catch (const std::exception& exception) {
            logger_.warn("The shim's socket may be left", {{"error", exception.what()}});
        }
    }

    static std::string response(const std::optional<TaskRecord>& task) {
        const auto exit = task ? task->exit : std::nullopt;
        const auto at = (exit ? exit->at : std::chrono::system_clock::now()).time_since_epoch();
        const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
        containerd::task::v3::DeleteResponse response;
        response.set_pid(task ? static_cast<std::uint32_t>(task->pid) : 0);
        response.set_exit_status(exit ? exit->status : killed_status);
        response.mutable_exited_at()->set_seconds(seconds.count());
        response.mutable_exited_at()->set_nanos(static_cast<std::int32_t>(
            std::chrono::duration_cast<std::chrono::nanoseconds>(at - seconds).count()
        ));
        return response.SerializeAsString();
    }

    const CommandLine& line_;
    const Logger& logger_;
    Deadline deadline_;
    std::filesystem::path bundle_; // empty: there is none
    pod::PodSpec pod_;
    std::string socket_;
    std::optional<config::Config> config_;
    milliseconds grace_ = daemon_grace;
};

} // namespace

std::string delete_task(const CommandLine& line, const Logger& logger) {
    return Deletion(line, logger).run();
}

} // namespace cppvm::shim
