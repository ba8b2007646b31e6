#pragma once

#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/pipe.hpp"

#include <csignal>
#include <filesystem>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm::testing {

/// A process in a mount namespace as that of a virtiofsd that has set itself up: nothing is in it
/// but an empty tmpfs, which is its root. Needs root.
class FakeShareServer {
  public:
    explicit FakeShareServer(const std::filesystem::path& directory) {
        Pipe ready = make_pipe("a fake virtiofsd");
        pid_ = ::fork();
        if (pid_ == 0) {
            const bool done = set_up(directory.c_str());
            [[maybe_unused]] const auto written = ::write(ready.write.get(), "r", done ? 1 : 0);
            ::syscall(SYS_close_range, 3U, ~0U, 0U); // nobody waits for the end of ours
            ::pause();
            ::_exit(0);
        }
        ready.write.reset();
        char byte = 0;
        if (::read(ready.read.get(), &byte, 1) != 1) {
            kill();
            throw Error(Code::internal, "start a fake virtiofsd: it could not set itself up");
        }
    }
    FakeShareServer(const FakeShareServer&) = delete;
    FakeShareServer& operator=(const FakeShareServer&) = delete;
    ~FakeShareServer() { kill(); }

    pid_t pid() const noexcept { return pid_; }

    /// How a path of the share is reached from here.
    std::filesystem::path view(const std::string& path) const {
        return "/proc/" + std::to_string(pid_) + "/root/" + path;
    }

    void kill() noexcept {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(std::exchange(pid_, -1), nullptr, 0);
        }
    }

  private:
    static bool set_up(const char* directory) {
        constexpr unsigned long closed = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW;
        constexpr unsigned long read_only = MS_REMOUNT | MS_BIND | MS_RDONLY;
        return ::unshare(CLONE_NEWNS) == 0 &&
               ::mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) == 0 &&
               ::mount("cppvm", directory, "tmpfs", closed, "mode=0700") == 0 &&
               ::mount(nullptr, directory, nullptr, closed | read_only, nullptr) == 0 &&
               ::chdir(directory) == 0 && ::syscall(SYS_pivot_root, ".", ".") == 0 &&
               ::umount2(".", MNT_DETACH) == 0 && ::chdir("/") == 0;
    }

    pid_t pid_ = -1;
};

} // namespace cppvm::testing
