#include "host/standin/stand_in.hpp"

#include "common/os/file.hpp"
#include "common/os/seccomp_filter.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

namespace cppvm {

namespace {

// It does nothing at all.
Confinement confine(const StandInSpec& stand_in) {
    static const std::vector<sock_filter> calls = allow_only({
        {"execveat", {}},
        {"exit_group", {}},
        {"pause", {}},
        {"ppoll", {}},
        {"prctl", {}},
        {"restart_syscall", {}},
        {"rt_sigreturn", {}},
        {"write", {}},
    });
    Confinement confinement;
    if (::geteuid() == 0) { // not so in tests
        confinement.capabilities = 0;
        confinement.user = stand_in.user;
        confinement.namespaces = CLONE_NEWUTS | CLONE_NEWIPC;
        if (stand_in.mount_namespace < 0) {
            confinement.visible = {{stand_in.program}};
        }
    }
    confinement.no_new_privileges = true;
    confinement.system_calls = calls;
    confinement.limits = {{RLIMIT_CORE, 0}};
    return confinement;
}

/// Each of them is memory of a process that does nothing with it.
constexpr std::size_t max_shown_bytes = 64UL * 1024;

bool is_short(const std::vector<std::string>& strings) {
    std::size_t bytes = 0;
    for (const std::string& string : strings) {
        bytes += string.size() + 1;
    }
    return bytes <= max_shown_bytes;
}

ChildSpec make_spec(const StandInSpec& stand_in, int program) {
    ChildSpec spec;
    const bool shown = !stand_in.arguments.empty() && is_short(stand_in.arguments);
    spec.arguments = shown ? stand_in.arguments : std::vector{stand_in.program.native()};
    spec.program = program;
    spec.environment.emplace();
    if (is_short(stand_in.environment)) {
        spec.environment = stand_in.environment;
    }
    spec.working_directory = stand_in.working_directory;
    spec.new_session = true; // no terminal's signals
    spec.network_namespace = stand_in.network_namespace;
    spec.mount_namespace = stand_in.mount_namespace;
    spec.confinement = confine(stand_in);
    return spec;
}

} // namespace

StandIn::StandIn(const asio::any_io_executor& executor, const StandInSpec& spec)
    : process_(executor, make_spec(spec, open_file(spec.program, O_PATH).get())) {}

Awaitable<> StandIn::wait() {
    co_await process_.wait();
}

} // namespace cppvm
