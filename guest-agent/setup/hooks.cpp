#include "guest-agent/setup/hooks.hpp"

#include "common/async/asio.hpp"
#include "common/base/error.hpp"
#include "common/base/one_line.hpp"
#include "common/os/child_process.hpp"
#include "common/os/exec_pointers.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace cppvm::guest {

namespace {

/// The shell's word for a program that could not be executed.
constexpr int not_executed = 127;
/// As much as a pipe holds, so that one read after the end gets all that was there (pipe(7)).
constexpr std::size_t read_size = 65536;
constexpr std::size_t kept_size = 4096;

/// A pipe's end, read as it fills; the last bytes are kept.
class Output {
  public:
    explicit Output(UniqueFd fd) : fd_(std::move(fd)) { set_nonblocking(fd_.get(), true); }

    /// -1 at the end, as poll(2) ignores it.
    int fd() const noexcept { return fd_.get(); }
    const std::string& text() const noexcept { return text_; }

    void read_some() {
        if (!fd_) {
            return;
        }
        std::array<char, read_size> buffer{};
        const ssize_t size = ::read(fd_.get(), buffer.data(), buffer.size());
        if (size == 0) {
            fd_.reset();
        } else if (size > 0) {
            text_.append(buffer.data(), static_cast<std::size_t>(size));
            text_.erase(0, text_.size() - std::min(text_.size(), kept_size));
        }
    }

  private:
    UniqueFd fd_;
    std::string text_;
};

/// A file without a name: unlike a pipe it holds any text before somebody reads it.
UniqueFd make_input(const std::string& text) {
    UniqueFd file(::memfd_create("state", MFD_CLOEXEC));
    if (!file) {
        throw_errno("make a file for", "the state");
    }
    write_all(file.get(), "the state", text);
    if (::lseek(file.get(), 0, SEEK_SET) != 0) {
        throw_errno("rewind", "the state");
    }
    return file;
}

[[noreturn]] void execute_hook(
    const oci::Hook& hook, const std::vector<std::string>& environment, std::array<int, 3> stdio
) {
    ::setsid();
    for (int fd = 0; fd <= 2; ++fd) {
        ::dup2(stdio[static_cast<std::size_t>(fd)], fd);
    }
    ::syscall(SYS_close_range, 3, UINT_MAX, 0);
    sigset_t none{};
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    const std::vector<std::string> path{hook.path};
    ::execve(
        hook.path.c_str(),
        exec_pointers(hook.args.empty() ? path : hook.args).data(),
        exec_pointers(environment).data()
    );
    const std::string problem =
        std::generic_category().message(errno) + " in the container's root file system\n";
    static_cast<void>(!::write(STDERR_FILENO, problem.data(), problem.size()));
    ::_exit(not_executed);
}

/// Owns: the child, which its destructor kills and reaps.
class HookProcess {
  public:
    HookProcess(
        const oci::Hook& hook, const std::string& state, const std::vector<std::string>& environment
    )
        : HookProcess(hook, make_input(state), make_pipe("hook"), make_pipe("hook"), environment) {}
    HookProcess(const HookProcess&) = delete;
    HookProcess& operator=(const HookProcess&) = delete;
    ~HookProcess() {
        if (pid_ > 0) {
            ::kill(-pid_, SIGKILL);
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }

    /// Until its program has ended. Throws: Error; deadline_exceeded.
    ChildExit wait(Deadline deadline) {
        const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
        if (!pidfd) {
            throw_errno("open", "the hook's process");
        }
        while (!has_ended(pidfd.get(), deadline)) {
            output_.read_some();
            errors_.read_some();
        }
        errors_.read_some();
        int status = 0;
        ::waitpid(std::exchange(pid_, -1), &status, 0);
        return {WEXITSTATUS(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0};
    }

    /// The last line that it has written to stderr.
    std::string last_error_line() const { return last_line(errors_.text()); }

  private:
    HookProcess(
        const oci::Hook& hook,
        const UniqueFd& input,
        Pipe output,
        Pipe errors,
        const std::vector<std::string>& environment
    )
        : output_(std::move(output.read)), errors_(std::move(errors.read)), pid_(::fork()) {
        if (pid_ == 0) {
            execute_hook(hook, environment, {input.get(), output.write.get(), errors.write.get()});
        }
        if (pid_ < 0) {
            throw_errno("fork", "hook");
        }
    }

    /// Waits until it has, or there may be something to read.
    bool has_ended(int pidfd, Deadline deadline) {
        std::array<pollfd, 3> entries{
            {{pidfd, POLLIN, 0}, {output_.fd(), POLLIN, 0}, {errors_.fd(), POLLIN, 0}}
        };
        const auto left = std::min<std::int64_t>(left_until(deadline).count(), INT_MAX);
        const int ready = ::poll(entries.data(), entries.size(), static_cast<int>(left));
        if (ready < 0 && errno != EINTR) {
            throw_errno("poll", "hook");
        }
        if (ready == 0) {
            throw Error(Code::deadline_exceeded, "timed out");
        }
        return entries[0].revents != 0;
    }

    Output output_;
    Output errors_;
    pid_t pid_ = -1;
};

void run_hook(
    const oci::Hook& hook, const std::string& state, const std::vector<std::string>& environment
) {
    HookProcess process(hook, state, hook.env.empty() ? environment : hook.env);
    const ChildExit exit = process.wait(deadline_in(oci::time_limit(hook)));
    if (exit.code != 0 || exit.signal != 0) {
        const std::string line = process.last_error_line();
        throw Error(Code::failed_precondition, to_text(exit) + (line.empty() ? "" : ": ") + line);
    }
}

} // namespace

void run_hooks(
    const std::string& kind,
    const std::vector<oci::Hook>& hooks,
    const oci::ContainerState& state,
    const std::vector<std::string>& environment
) {
    const std::string text = to_json(state);
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        try {
            run_hook(hooks[i], text, environment);
        } catch (const Error& error) {
            throw Error(
                Code::failed_precondition,
                kind + " hook #" + std::to_string(i) + ": run " + hooks[i].path + ": " +
                    error.message(),
                error.cause()
            );
        }
    }
}

} // namespace cppvm::guest
