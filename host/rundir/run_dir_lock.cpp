#include "host/rundir/run_dir_lock.hpp"

#include "common/async/asio.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/process_id.hpp"
#include "host/rundir/remove_tree.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <thread>

namespace cppvm {

namespace {

constexpr const char* lock_name = "lock";
constexpr const char* daemon_pid_name = "daemon.pid";
constexpr const char* ending_name = "ending";

bool is_missing(const Error& error) {
    return error.cause().value() == ENOENT || error.cause().value() == ENOTDIR;
}

} // namespace

bool lock_within(int fd, std::chrono::milliseconds timeout, const std::filesystem::path& name) {
    // flock has no timeout, and a signal that breaks the wait is not worth it for locks that are
    // nearly always free.
    constexpr auto pause = std::chrono::milliseconds(2);
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    for (;;) {
        if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
            return true;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            throw_errno("lock", name.native());
        }
        if (std::chrono::steady_clock::now() >= deadline) {
            return false;
        }
        std::this_thread::sleep_for(pause);
    }
}

std::optional<RunDirLock>
RunDirLock::take(const std::filesystem::path& run_dir, std::chrono::milliseconds timeout) {
    return take(run_dir, timeout, true);
}

std::optional<RunDirLock>
RunDirLock::take_existing(const std::filesystem::path& run_dir, std::chrono::milliseconds timeout) {
    return take(run_dir, timeout, false);
}

std::optional<RunDirLock> RunDirLock::take(
    const std::filesystem::path& run_dir, std::chrono::milliseconds timeout, bool create
) {
    const auto deadline = deadline_in(timeout);
    const auto path = run_dir / lock_name;
    // Another round after another holder removed the directory; there are never that many.
    for (int round = 0; round < 16; ++round) {
        UniqueFd fd;
        try {
            if (create) {
                make_directories(run_dir, 0711);
            } else if (!std::filesystem::is_directory(run_dir)) {
                return std::nullopt;
            }
            fd = open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
        } catch (const Error& error) {
            if (!is_missing(error) || (create && error.cause().value() == ENOTDIR)) {
                throw;
            }
            continue; // removed by another since the line above
        }
        if (!lock_within(fd.get(), left_until(deadline), path)) {
            return std::nullopt;
        }
        // A directory that `remove` has unlinked may still be locked by number: only the lock file
        // that the name leads to counts.
        if (is_same_file(path, fd.get())) {
            return RunDirLock(run_dir, std::move(fd));
        }
    }
    return std::nullopt;
}

void RunDirLock::write_daemon_pid() const {
    const auto process = find_process(::getpid());
    if (!process) {
        throw Error(Code::internal, "find this process in /proc: is /proc mounted?");
    }
    if (::unlink((run_dir_ / ending_name).c_str()) != 0 && errno != ENOENT) {
        throw_errno("remove", (run_dir_ / ending_name).native());
    }
    write_file_atomically(daemon_pid_path(run_dir_), to_text(*process), 0644);
}

void RunDirLock::mark_ending() const {
    open_file(run_dir_ / ending_name, O_CREAT | O_WRONLY, 0644);
}

bool is_ending(const std::filesystem::path& run_dir) noexcept {
    return ::access((run_dir / ending_name).c_str(), F_OK) == 0;
}

bool RunDirLock::holds_nothing_else() const {
    std::error_code error;
    const std::filesystem::directory_iterator entries(run_dir_, error);
    if (error) {
        return false; // look closer than trust
    }
    return std::all_of(begin(entries), end(entries), [](const auto& entry) {
        const auto name = entry.path().filename();
        return name == lock_name || name == daemon_pid_name || name == ending_name;
    });
}

void RunDirLock::remove() {
    std::error_code error;
    for (std::filesystem::directory_iterator entry(run_dir_, error), end; !error && entry != end;
         entry.increment(error)) {
        if (entry->path().filename() != lock_name) {
            remove_tree(entry->path());
        }
    }
    // The lock file goes last: while it is there, nobody else gets the directory. One who waits for
    // it finds it unlinked and starts again, perhaps before the rmdir.
    if (::unlink((run_dir_ / lock_name).c_str()) != 0 && errno != ENOENT) {
        throw_errno("remove", (run_dir_ / lock_name).native());
    }
    if (::rmdir(run_dir_.c_str()) != 0 && errno != ENOENT && errno != ENOTEMPTY) {
        throw_errno("remove", run_dir_.native());
    }
    fd_.reset();
}

std::filesystem::path daemon_pid_path(const std::filesystem::path& run_dir) {
    return run_dir / daemon_pid_name;
}

} // namespace cppvm
