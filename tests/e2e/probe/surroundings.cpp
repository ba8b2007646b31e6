#include "tests/e2e/probe/attempt.hpp"
#include "tests/e2e/probe/probe.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <dirent.h>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char** environ;

namespace cppvm::probe {

namespace {

/// Before the namespaces of the process that starts containers: "ipc:[4026531839],uts:[…".
constexpr std::string_view outside_option = "--outside=";

Json strings(char* const* from) {
    Json result = Json::array();
    for (; *from != nullptr; ++from) {
        if (!std::string_view(*from).starts_with(outside_option)) {
            result.push_back(*from);
        }
    }
    return result;
}

std::string outside_of(const std::vector<char*>& argv) {
    for (const char* const argument : argv) {
        if (argument != nullptr && std::string_view(argument).starts_with(outside_option)) {
            return argument;
        }
    }
    return "";
}

std::string link_target(const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const ssize_t length = ::readlink(path.c_str(), target.data(), target.size() - 1);
    return length < 0 ? error_name(errno) : std::string(target.data());
}

/// The first namespaces of a machine have fixed numbers (proc_ns.h), but for network and mount.
std::string
namespace_kind(const std::string& type, unsigned long initial, const std::string& outside) {
    const std::string name = link_target("/proc/self/ns/" + type); // "ipc:[4026531839]"
    const bool is_first = name == type + ":[" + std::to_string(initial) + "]";
    return is_first || outside.find(name) != std::string::npos ? "the machine's" : "its own";
}

Json namespaces(const std::string& outside) {
    constexpr unsigned long first = 0xEFFFFFFA;
    Json result;
    unsigned long initial = first;
    for (const char* const type : {"time", "cgroup", "pid", "user", "uts", "ipc"}) {
        result[type] = namespace_kind(type, initial++, outside);
    }
    for (const char* const file : {"uid_map", "gid_map", "setgroups", "timens_offsets"}) {
        result[file] = read_text(std::string("/proc/self/") + file);
    }
    return result;
}

Json sysctls() {
    Json result;
    for (const char* const name :
         {"net/ipv4/ip_forward",
          "net/ipv4/ip_unprivileged_port_start",
          "net/ipv4/ping_group_range",
          "net/ipv4/tcp_keepalive_time",
          "net/ipv4/ip_local_port_range",
          "net/core/somaxconn",
          "net/ipv6/conf/all/disable_ipv6",
          "kernel/shmmax",
          "kernel/shmall",
          "kernel/shmmni",
          "kernel/shm_rmid_forced",
          "kernel/msgmax",
          "kernel/msgmnb",
          "kernel/msgmni",
          "kernel/sem",
          "fs/mqueue/msg_max",
          "fs/mqueue/msgsize_max",
          "fs/mqueue/queues_max",
          "kernel/domainname"}) {
        result[name] = read_text(std::string("/proc/sys/") + name);
    }
    return result;
}

std::string kind_of(mode_t mode) {
    return S_ISFIFO(mode)  ? "pipe"
           : S_ISCHR(mode) ? "device"
           : S_ISREG(mode) ? "file"
           : S_ISDIR(mode) ? "directory"
                           : "other";
}

/// By number; those above 2 are what a runtime has forgotten.
Json descriptors() {
    Json result;
    for (int fd = 0; fd < 1024; ++fd) {
        struct stat status{};
        if (::fstat(fd, &status) != 0) {
            continue;
        }
        result[std::to_string(fd)] = {
            {"kind", kind_of(status.st_mode)},
            {"uid", status.st_uid},
            {"access", ::fcntl(fd, F_GETFL) & O_ACCMODE},
            {"close_on_exec", ::fcntl(fd, F_GETFD)},
            {"opens_again", attempt([fd] {
                 return error_of(
                     ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_WRONLY | O_NONBLOCK)
                 );
             })},
        };
    }
    return result;
}

} // namespace

Json surroundings(const std::vector<char*>& argv) {
    Json result;
    result["arguments"] = strings(argv.data());
    result["environment"] = strings(environ);
    std::array<char, PATH_MAX> directory{};
    result["directory"] = ::getcwd(directory.data(), directory.size()) != nullptr
                              ? std::string(directory.data())
                              : error_name(errno);
    result["program"] = link_target("/proc/self/exe");
    result["root"] = link_target("/proc/self/root");
    result["comm"] = read_text("/proc/self/comm");
    utsname names{};
    ::uname(&names);
    result["hostname"] = names.nodename;
    result["domainname"] = names.domainname;
    result["machine"] = names.machine;
    result["namespaces"] = namespaces(outside_of(argv));
    result["sysctls"] = sysctls();
    result["descriptors"] = descriptors();
    result["first"] = {
        {"comm", read_text("/proc/1/comm")},
        {"program", link_target("/proc/1/exe")},
        {"environment_readable", !read_text("/proc/1/environ").empty()},
    };
    return result;
}

} // namespace cppvm::probe
