#include "guest-agent/setup/sysctl.hpp"

#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/os/file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <unistd.h>

namespace cppvm::guest {

std::string sysctl_path(const std::string& key) {
    std::string path = key;
    const std::size_t first = path.find_first_of("./");
    if (first != std::string::npos && path[first] == '.') {
        for (char& c : path) {
            c = c == '.' ? '/' : c == '/' ? '.' : c;
        }
    }
    if (path == "kernel/hostname") {
        throw Error(
            Code::invalid_argument,
            "linux.sysctl." + key + ": conflicts with the field 'hostname'; set that instead"
        );
    }
    // The ones of the IPC namespace (namespaces(7), ipc_namespaces(7)) and of the UTS namespace.
    constexpr std::array<std::string_view, 9> single{
        "kernel/domainname",
        "kernel/msgmax",
        "kernel/msgmnb",
        "kernel/msgmni",
        "kernel/sem",
        "kernel/shmall",
        "kernel/shmmax",
        "kernel/shmmni",
        "kernel/shm_rmid_forced",
    };
    const bool namespaced = path.starts_with("net/") || path.starts_with("fs/mqueue/") ||
                            std::find(single.begin(), single.end(), path) != single.end();
    if (!namespaced || ("/" + path + "/").find("/../") != std::string::npos) {
        throw Error(
            Code::invalid_argument,
            "linux.sysctl." + key.substr(0, 128) + ": belongs to no namespace of the container"
        );
    }
    return path;
}

namespace {

void write_as(uid_t user, const std::string& path, const std::string& value) {
    if (::seteuid(user) != 0) {
        throw_errno("become", "user " + std::to_string(user));
    }
    const ScopeExit back([] { static_cast<void>(::seteuid(0)); });
    write_control_file(path, value);
}

} // namespace

void write_sysctls(const std::map<std::string, std::string>& sysctls, uid_t owner) {
    for (const auto& [key, value] : sysctls) {
        const std::string path = "/proc/sys/" + sysctl_path(key);
        try {
            write_control_file(path, value);
        } catch (const Error& error) {
            // Since Linux 6.9 those of an IPC namespace are its owner's alone.
            if (owner == 0 || error.cause().value() != EACCES) {
                throw;
            }
            write_as(owner, path, value);
        }
    }
}

} // namespace cppvm::guest
