#include "host/standin/stand_in.hpp"

#include "common/os/file.hpp"

#include <fcntl.h>

namespace cppvm {

namespace {

ChildProcess start(const asio::any_io_executor& executor, const StandInSpec& spec) {
    using Kind = network::NamespaceSpec::Kind;
    ChildSpec child;
    child.arguments = {spec.program};
    child.environment.emplace();
    child.new_network_namespace = spec.network.kind == Kind::fresh;
    UniqueFd network;
    if (spec.network.kind == Kind::path) {
        network = open_file(spec.network.path, O_RDONLY);
        child.network_namespace = network.get();
    }
    return {executor, child};
}

} // namespace

StandIn::StandIn(const asio::any_io_executor& executor, const StandInSpec& spec)
    : process_(start(executor, spec)) {}

} // namespace cppvm
