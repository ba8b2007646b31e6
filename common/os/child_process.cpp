#include "common/os/child_process.hpp"

#include "common/async/adopt.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/child_confinement.hpp"
#include "common/os/child_report.hpp"
#include "common/os/exec_pointers.hpp"
#include "common/os/mount_namespace.hpp"
#include "common/os/pipe.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace cppvm {

namespace {

// Runs between fork and exec: async-signal-safe calls only. Everything that allocates
// (argv, envp) was made by the parent.
class ChildSetup {
  public:
    ChildSetup(
        const ChildSpec& spec, char* const* argv, char* const* envp, int error_fd, pid_t parent
    )
        : spec_(spec), confinement_(spec.confinement), argv_(argv), envp_(envp),
          error_fd_(error_fd), parent_(parent) {}

    [[noreturn]] void run() const {
        reset_signals();
        const ChildReport report = place_descriptors();
        if (spec_.network_namespace >= 0) {
            report.check(
                ChildStep::network_namespace, ::setns(spec_.network_namespace, CLONE_NEWNET)
            );
        }
        if (spec_.mount_namespace >= 0) {
            report.check(ChildStep::mount_namespace, enter_mount_namespace(spec_.mount_namespace));
        }
        confinement_.isolate(report);
        if (!spec_.working_directory.empty()) {
            [[maybe_unused]] const int moved = ::chdir(spec_.working_directory.c_str());
        }
        if (spec_.new_session) {
            report.check(ChildStep::session, ::setsid());
        }
        confinement_.drop_privileges(report);
        if (spec_.die_with_parent) { // a change of the user takes it back
            report.check(ChildStep::parent_death_signal, ::prctl(PR_SET_PDEATHSIG, SIGKILL));
            if (::getppid() != parent_) {
                ::_exit(127); // it died before the prctl
            }
        }
        confinement_.restrict_system_calls(report);
        if (program_ >= 0) {
            ::syscall(SYS_execveat, program_, "", argv_, envp_, AT_EMPTY_PATH);
        } else {
            ::execve(spec_.program_path().c_str(), argv_, envp_);
        }
        report.fail(ChildStep::execute);
    }

  private:
    static void reset_signals() {
        struct sigaction action{};
        action.sa_handler = SIG_DFL;
        for (int number = 1; number < NSIG; ++number) {
            ::sigaction(number, &action, nullptr);
        }
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
    }

    // Gives the report to the parent, whose descriptor is moved too.
    ChildReport place_descriptors() const {
        constexpr auto step = ChildStep::descriptors;
        // First above every target number, so that placing one cannot overwrite another's source.
        int lowest = 3;
        for (const auto& [ours, theirs] : spec_.descriptors) {
            lowest = std::max(lowest, theirs + 1);
        }
        const ChildReport report(::fcntl(error_fd_, F_DUPFD_CLOEXEC, lowest));
        if (spec_.program >= 0) {
            program_ = ::fcntl(spec_.program, F_DUPFD_CLOEXEC, lowest);
            report.check(step, program_);
        }
        int sources[max_descriptors];
        std::size_t count = 0;
        for (const auto& [ours, theirs] : spec_.descriptors) {
            sources[count] = ::fcntl(ours, F_DUPFD_CLOEXEC, lowest);
            report.check(step, sources[count]);
            ++count;
        }
        const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        report.check(step, null);
        for (int standard = 0; standard <= 2; ++standard) {
            report.check(step, ::dup2(null, standard));
        }
        count = 0;
        for (const auto& [ours, theirs] : spec_.descriptors) {
            report.check(step, ::dup2(sources[count], theirs));
            ++count;
        }
        // All but the targets go at exec.
        report.check(step, ::syscall(SYS_close_range, 3U, ~0U, close_range_cloexec));
        for (const auto& [ours, theirs] : spec_.descriptors) {
            report.check(step, ::fcntl(theirs, F_SETFD, 0));
        }
        return report;
    }

  public:
    static constexpr std::size_t max_descriptors = 16;

  private:
    static constexpr unsigned close_range_cloexec = 4; // CLOSE_RANGE_CLOEXEC, Linux 5.11

    const ChildSpec& spec_;
    ChildConfinement confinement_;
    char* const* argv_;
    char* const* envp_;
    int error_fd_;
    pid_t parent_;
    mutable int program_ = -1;
};

pid_t start(const ChildSpec& spec) {
    if (spec.arguments.empty() || spec.descriptors.size() > ChildSetup::max_descriptors) {
        throw Error(Code::internal, "start a child: no program, or too many descriptors");
    }
    const std::string& program = spec.program_path();
    const std::vector<char*> argv = exec_pointers(spec.arguments);
    const std::vector<char*> env =
        spec.environment ? exec_pointers(*spec.environment) : std::vector<char*>();
    Pipe error = make_pipe(program);
    const ChildSetup setup(
        spec, argv.data(), spec.environment ? env.data() : environ, error.write.get(), ::getpid()
    );
    const pid_t pid = ::fork();
    if (pid < 0) {
        throw_errno("fork for", program);
    }
    if (pid == 0) {
        setup.run();
    }
    error.write.reset();
    ChildFailure failure{};
    ssize_t count = 0;
    do {
        count = ::read(error.read.get(), &failure, sizeof failure);
    } while (count < 0 && errno == EINTR);
    if (count == sizeof failure) {
        ::waitpid(pid, nullptr, 0);
        throw_errno(child_step_text(failure.step), program, failure.error);
    }
    return pid;
}

ChildExit to_exit(const siginfo_t& info) {
    if (info.si_code == CLD_EXITED) {
        return {info.si_status, 0};
    }
    return {0, info.si_status};
}

} // namespace

std::string to_text(const ChildExit& exit) {
    return exit.signal != 0 ? "signal " + std::to_string(exit.signal)
                            : "exit code " + std::to_string(exit.code);
}

ChildProcess::ChildProcess(const asio::any_io_executor& executor, const ChildSpec& spec)
    : pid_(start(spec)), pidfd_(executor) {
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!pidfd) {
        const int error = errno;
        end();
        throw_errno("pidfd_open of", spec.program_path(), error);
    }
    adopt(pidfd_, std::move(pidfd));
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)),
      exit_(std::exchange(other.exit_, std::nullopt)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
    if (this != &other) {
        end();
        pid_ = std::exchange(other.pid_, -1);
        pidfd_ = std::move(other.pidfd_);
        exit_ = std::exchange(other.exit_, std::nullopt);
    }
    return *this;
}

ChildProcess::~ChildProcess() {
    end();
}

void ChildProcess::end() noexcept {
    if (pid_ > 0 && !exit_) {
        ::kill(pid_, SIGKILL); // not reaped yet, so the number is still this child's
        ::waitpid(pid_, nullptr, 0);
        exit_ = ChildExit{0, SIGKILL};
    }
}

ProcessId ChildProcess::id() const {
    const auto process = find_process(pid_);
    if (!process) {
        throw Error(Code::failed_precondition, "child " + std::to_string(pid_) + " was reaped");
    }
    return *process;
}

Awaitable<ChildExit> ChildProcess::wait() {
    while (!exit_) {
        siginfo_t info{};
        if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) != 0) {
            throw_errno("wait for child", std::to_string(pid_));
        }
        if (info.si_pid == pid_) {
            exit_ = to_exit(info);
            break;
        }
        co_await pidfd_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
    }
    co_return *exit_;
}

void ChildProcess::signal(int number) noexcept {
    if (pid_ > 0 && !exit_) { // kill(-1) would reach every process
        ::kill(pid_, number);
    }
}

void ChildProcess::detach() noexcept {
    pid_ = -1;
    exit_ = ChildExit{};
}

Awaitable<ChildExit> ChildProcess::terminate(std::chrono::milliseconds grace) {
    signal(SIGTERM);
    if (!co_await ends_by(wait(), deadline_in(grace))) {
        signal(SIGKILL);
    }
    co_return co_await wait();
}

} // namespace cppvm
