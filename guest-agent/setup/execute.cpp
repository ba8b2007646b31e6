#include "common/base/error.hpp"
#include "common/os/exec_pointers.hpp"
#include "common/os/file.hpp"
#include "guest-agent/setup/passwd.hpp"
#include "guest-agent/setup/process_setup.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <set>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace cppvm::guest {

namespace {

constexpr std::size_t max_passwd_bytes = 1024UL * 1024;
constexpr std::string_view default_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The home directory of passwd(5); nothing on any trouble with the file, which is the image's.
std::string find_home(uid_t uid) noexcept {
    try {
        // Not blocking: it may be a fifo.
        const UniqueFd file = open_file("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY);
        struct stat status{};
        if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
            return {};
        }
        return home_of(uid, read_all(file.get(), "/etc/passwd", max_passwd_bytes));
    } catch (const std::exception&) {
        return {};
    }
}

std::string_view find_variable(const std::vector<std::string>& environment, std::string_view name) {
    for (const std::string& entry : environment) {
        if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
            return std::string_view(entry).substr(name.size() + 1);
        }
    }
    return {};
}

[[noreturn]] void throw_exec(const std::string& program, std::string_view detail, int error) {
    // In lower case: other programs look for exactly these words of the Go runtime.
    std::string cause = std::generic_category().message(error);
    if (!cause.empty()) {
        cause[0] = static_cast<char>(cause[0] | 0x20);
    }
    throw Error(
        Code::failed_precondition,
        "exec \"" + program.substr(0, 1024) + "\": " + std::string(detail) + cause,
        std::error_code(error, std::generic_category())
    );
}

/// Why a file is none to execute, by its errno; 0: it is one.
int why_not_executable(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        return errno;
    }
    if (!S_ISREG(status.st_mode)) {
        return S_ISDIR(status.st_mode) ? EISDIR : EACCES;
    }
    return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

} // namespace

std::vector<std::string> make_environment(const oci::Process& process) {
    std::vector<std::string> environment;
    std::set<std::string_view> names;
    for (auto entry = process.env.rbegin(); entry != process.env.rend(); ++entry) {
        if (names.insert(std::string_view(*entry).substr(0, entry->find('='))).second) {
            environment.push_back(*entry);
        }
    }
    std::reverse(environment.begin(), environment.end());
    if (!environment.empty() && find_variable(environment, "HOME").empty()) {
        std::erase(environment, "HOME=");
        const std::string home = find_home(process.user.uid);
        environment.push_back("HOME=" + (home.empty() ? "/" : home));
    }
    return environment;
}

std::string find_program(const std::string& name, const std::vector<std::string>& environment) {
    if (name.find('/') != std::string::npos) {
        if (const int error = why_not_executable(name)) {
            throw_exec(name, "", error);
        }
        return name;
    }
    std::string_view path = find_variable(environment, "PATH");
    if (path.empty()) {
        path = default_path;
    }
    int failure = ENOENT;
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find(':', at), path.size());
        std::string candidate(path.substr(at, end - at));
        candidate += candidate.empty() ? "./" : "/";
        candidate += name;
        const int error = why_not_executable(candidate);
        if (error == 0) {
            return candidate;
        }
        // As execvp(3): a file that may not be executed is better news than none.
        failure = error == EACCES ? EACCES : failure;
        at = end + 1;
    }
    throw_exec(name, failure == ENOENT ? "executable file not found in $PATH: " : "", failure);
}

void execute(
    const std::string& program,
    const oci::Process& process,
    const std::vector<std::string>& environment
) {
    const std::vector<char*> arguments = exec_pointers(process.args);
    const std::vector<char*> variables = exec_pointers(environment);
    sigset_t none{};
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(program.c_str(), arguments.data(), variables.data());
    throw_exec(process.args[0], "", errno);
}

} // namespace cppvm::guest
