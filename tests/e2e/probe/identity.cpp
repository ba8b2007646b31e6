#include "tests/e2e/probe/attempt.hpp"
#include "tests/e2e/probe/probe.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sstream>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm::probe {

namespace {

constexpr std::array reported = {
    "Umask",  "Pid",        "PPid",    "TracerPid",       "Uid",     "Gid",    "Groups",
    "SigBlk", "SigIgn",     "SigCgt",  "CapInh",          "CapPrm",  "CapEff", "CapBnd",
    "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Threads",
};

/// "_ses.<random>" of runc and "_ses.<id>" are the same kind of name.
std::string keyring() {
    constexpr long get_keyring_id = 0;
    constexpr long describe = 6;
    constexpr long session_keyring = -3;
    const long id = ::syscall(SYS_keyctl, get_keyring_id, session_keyring, 0);
    if (id < 0) {
        return error_name(errno);
    }
    std::array<char, 256> text{};
    if (::syscall(SYS_keyctl, describe, id, text.data(), text.size()) < 0) {
        return error_name(errno);
    }
    const std::string description(text.data());
    return description.substr(0, description.rfind(';'));
}

Json status() {
    Json result;
    std::istringstream lines(read_text("/proc/self/status"));
    for (std::string line; std::getline(lines, line);) {
        const std::string name = line.substr(0, line.find(':'));
        for (const char* const wanted : reported) {
            if (name == wanted) {
                const auto begin = line.find_first_not_of(" \t", name.size() + 1);
                result[name] = begin == std::string::npos ? "" : line.substr(begin);
            }
        }
    }
    return result;
}

} // namespace

Json identity() {
    Json result = status();
    result["dumpable"] = ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    result["securebits"] = ::prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
    result["keep_capabilities"] = ::prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0);
    result["parent_death_signal"] = [] {
        int number = 0;
        ::prctl(PR_GET_PDEATHSIG, &number, 0, 0, 0);
        return number;
    }();
    result["subreaper"] = [] {
        int is_one = 0;
        ::prctl(PR_GET_CHILD_SUBREAPER, &is_one, 0, 0, 0);
        return is_one;
    }();
    result["timer_slack"] = ::prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    result["keyring"] = keyring();
    result["oom_score_adj"] = read_text("/proc/self/oom_score_adj");
    result["coredump_filter"] = read_text("/proc/self/coredump_filter");
    return result;
}

Json identity_of(const std::string& program) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return error_name(errno);
    }
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::dup2(ends[1], STDOUT_FILENO);
        ::execl(program.c_str(), program.c_str(), "--identity", nullptr);
        ::_exit(errno);
    }
    ::close(ends[1]);
    std::string text;
    std::array<char, 4096> part{};
    for (ssize_t got = 0; (got = ::read(ends[0], part.data(), part.size())) > 0;) {
        text.append(part.data(), static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (status != 0) {
        return error_name(WEXITSTATUS(status));
    }
    const Json all = Json::parse(text);
    Json result;
    for (const char* const name : {"Uid", "Gid", "CapEff", "CapPrm", "CapInh", "CapAmb"}) {
        result[name] = all[name];
    }
    return result;
}

} // namespace cppvm::probe
