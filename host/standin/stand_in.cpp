#include "host/standin/stand_in.hpp"

#include <sched.h>

namespace cppvm {

namespace {

ChildSpec make_spec(const std::filesystem::path& program, const StandIn::Network& network) {
    ChildSpec spec;
    spec.arguments = {program.native()};
    spec.environment.emplace();
    spec.new_session = true; // no terminal's signals
    spec.network_namespace = network.namespace_fd;
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
