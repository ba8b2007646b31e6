#include "host/shim/start.hpp"

#include "common/base/error.hpp"
#include "common/base/joined.hpp"
#include "common/base/scope_exit.hpp"
#include "common/os/file.hpp"
#include "host/config/config.hpp"
#include "host/pod/pod_spec.hpp"
#include "host/rundir/identity.hpp"
#include "host/rundir/leftovers.hpp"
#include "host/shim/bootstrap.hpp"
#include "host/shim/fifo_sink.hpp"
#include "host/shim/launch.hpp"
#include "host/shim/shim_socket.hpp"
#include "host/shim/start_record.hpp"

#include <chrono>
#include <filesystem>
#include <unistd.h>

namespace cppvm::shim {

namespace {

// containerd writes its input at once; these bounds are for what cannot be expected.
constexpr std::chrono::milliseconds input_timeout(30'000);
constexpr std::chrono::milliseconds daemon_timeout(20'000);
// For cleaning up after a daemon that was killed before it had a machine.
constexpr std::chrono::milliseconds undo_timeout(3000);

// As containerd itself checks its setting; 65 more are the name's.
constexpr std::size_t max_socket_dir_bytes = 42;

std::filesystem::path address_path(const std::filesystem::path& bundle) {
    return bundle / "address";
}

std::filesystem::path find_bundle(const CommandLine& line) {
    std::error_code error;
    const auto bundle = line.bundle.empty() ? std::filesystem::current_path(error) : line.bundle;
    if (error || !std::filesystem::is_directory(bundle, error)) {
        throw Error(
            Code::failed_precondition,
            "bundle " + (bundle.empty() ? "(working directory)" : bundle.native()) +
                ": no such directory"
        );
    }
    return std::filesystem::absolute(bundle);
}

std::filesystem::path find_socket_dir(const BootstrapInput& input) {
    if (input.socket_dir.empty()) {
        return default_socket_dir;
    }
    const auto& dir = input.socket_dir.native();
    if (!input.socket_dir.is_absolute() || dir.size() > max_socket_dir_bytes) {
        throw Error(
            Code::invalid_argument,
            "socket_dir \"" + dir.substr(0, 80) + "\": must be an absolute path of at most " +
                std::to_string(max_socket_dir_bytes) + " bytes; correct containerd's configuration"
        );
    }
    return input.socket_dir;
}

config::Config load_config(const BootstrapInput& input) {
    const bool named = !input.config_path.empty();
    return config::load(named ? input.config_path : config::default_path, named, input.config_body);
}

[[noreturn]] void refuse(const CommandLine& line, const pod::PodSpec& pod, bool is_live) {
    if (is_live) {
        throw Error(
            Code::already_exists,
            "a shim for this id is already running; delete its task before starting another"
        );
    }
    throw Error(
        Code::failed_precondition,
        "container " + line.id + " belongs to sandbox " + pod.sandbox_id +
            ", whose shim is no longer running; recreate the pod"
    );
}

class Start {
  public:
    Start(CommandLine line, const StartEnvironment& environment)
        : line_(std::move(line)), environment_(environment) {}

    void run() {
        line_.bundle = find_bundle(line_);
        input_ = parse_bootstrap_input(
            read_bootstrap_input(environment_.input, input_timeout),
            line_.id,
            line_.containerd_namespace
        );
        pod_ = pod::read_pod_spec(line_.bundle, line_.id);
        const Identity identity(line_.address, line_.containerd_namespace, pod_.sandbox_id);
        const auto socket_dir = find_socket_dir(input_);
        const auto socket_path = identity.socket_path(socket_dir);
        if (pod_.is_member && !ShimSocket::is_live(socket_path)) {
            refuse(line_, pod_, false);
        }
        const config::Config config = load_config(input_);
        tell_what_is_ignored();
        auto socket = ShimSocket::bind(identity, socket_dir);
        if (!socket && pod_.sandbox_id == line_.id) {
            refuse(line_, pod_, true);
        }
        if (socket && pod_.is_member) { // it died since we looked
            refuse(line_, pod_, false);
        }
        write_record(config, socket_path);
        ScopeExit remove_record([&] { ::unlink(start_record_path(line_.bundle).c_str()); });
        if (socket) {
            launch(*socket, identity, config);
        } else {
            answer(socket_address(socket_path), [] {});
        }
        remove_record.release();
    }

  private:
    // Not to stderr, which containerd reads as the cause of a failure.
    Logger log() const { return Logger(make_fifo_sink(line_.bundle / "log"), LogLevel::warn); }

    void tell_what_is_ignored() const {
        if (!input_.ignored_options.empty()) {
            log().warn(
                "Runtime options of another runtime have no effect: set ConfigPath, or keys of "
                "cppvm's "
                "configuration",
                {{"type", input_.ignored_options}}
            );
        }
    }

    void write_record(const config::Config& config, const std::filesystem::path& socket_path) {
        StartRecord record;
        record.id = line_.id;
        record.pod = pod_;
        record.socket = socket_path.native();
        record.ttrpc_address =
            input_.ttrpc_address.empty() ? environment_.ttrpc_address : input_.ttrpc_address;
        record.publish_binary = line_.publish_binary;
        record.config = config::to_toml(config);
        record.config_sources = joined(config.sources, ", ");
        record.log_level = input_.log_level.empty() && line_.debug ? "debug" : input_.log_level;
        write_start_record(line_.bundle, record);
    }

    void launch(ShimSocket& socket, const Identity& identity, const config::Config& config) {
        // Runs once the daemon is gone. containerd never learned of that one, so it will not call
        // `delete` for what a killed one leaves.
        ScopeExit clear([&] { clear_abandoned(identity, config); });
        PendingDaemon daemon(line_, socket.address(), socket.fd());
        daemon.wait_ready(daemon_timeout);
        answer(socket.address(), [&] { daemon.commit(); });
        clear.release();
        socket.release();
    }

    void clear_abandoned(const Identity& identity, const config::Config& config) noexcept {
        const Logger logger = log();
        try {
            // If it is locked, it belongs to another daemon of the same sandbox, which is ending.
            if (auto lock = RunDirLock::take_existing(identity.run_dir(config.run_dir))) {
                clear_run_dir(*lock, identity, config, logger, deadline_in(undo_timeout));
            }
        } catch (const std::exception& exception) {
            logger.warn("Parts of the sandbox may be left", {{"error", exception.what()}});
        }
    }

    // The answer is the last thing that can fail, but for the daemon's being gone meanwhile.
    template <class Commit>
    void answer(const std::string& address, Commit commit) {
        const auto file = address_path(line_.bundle);
        write_file_atomically(file, address, 0600);
        ScopeExit remove_file([&] { ::unlink(file.c_str()); });
        write_all(environment_.output, "standard output", bootstrap_answer(input_, address));
        commit();
        remove_file.release();
    }

    CommandLine line_;
    const StartEnvironment& environment_;
    BootstrapInput input_;
    pod::PodSpec pod_;
};

} // namespace

void start(CommandLine line, const StartEnvironment& environment) {
    check_identifier("namespace", line.containerd_namespace);
    check_identifier("id", line.id);
    const std::string id = line.id;
    try {
        Start(std::move(line), environment).run();
    } catch (...) {
        rethrow_with_context("start shim for " + id);
    }
}

} // namespace cppvm::shim
