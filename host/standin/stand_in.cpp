#include "host/standin/stand_in.hpp"

#include "common/os/seccomp_filter.hpp"

#include <sched.h>
#include <unistd.h>

namespace cppvm {

namespace {

// It is root for containerd's sake, which opens its /proc files, and does nothing at all.
Confinement confine() {
    static const std::vector<sock_filter> calls = allow_only({
        {"execve", {}},
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
    }
    confinement.no_new_privileges = true;
    confinement.system_calls = calls;
    confinement.limits = {{RLIMIT_CORE, 0}};
    return confinement;
}

ChildSpec make_spec(const std::filesystem::path& program, const StandIn::Network& network) {
    ChildSpec spec;
    spec.arguments = {program.native()};
    spec.environment.emplace();
    spec.new_session = true; // no terminal's signals
    spec.network_namespace = network.namespace_fd;
    spec.confinement = confine();
    spec.confinement.namespaces = network.new_namespace ? CLONE_NEWNET : 0;
    return spec;
}

} // namespace

StandIn::StandIn(
    const asio::any_io_executor& executor,
    const std::filesystem::path& program,
    const Network& network
)
    : process_(executor, make_spec(program, network)) {}

Awaitable<> StandIn::wait() {
    co_await process_.wait();
}

} // namespace cppvm
