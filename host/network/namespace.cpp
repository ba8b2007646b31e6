#include "host/network/namespace.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/forked_child.hpp"
#include "common/os/namespace_type.hpp"

#include <fcntl.h>
#include <sched.h>

namespace cppvm::network {

namespace {

// In a child, for unshare(2) would move ourselves; and a host with many namespaces can take long.
Awaitable<UniqueFd> make_fresh(const asio::any_io_executor& executor, Deadline deadline) {
    ForkedChild child(executor, "make a network namespace", {}, [](ParentLink& parent) {
        if (::unshare(CLONE_NEWNET) != 0) {
            throw_errno("unshare", "network namespace");
        }
        parent.send("made");
        parent.receive();
    });
    co_await child.receive(deadline);
    UniqueFd made = child.open_namespace("net");
    child.send("opened");
    co_await child.finish(deadline);
    co_return made;
}

} // namespace

UniqueFd open_existing(const std::filesystem::path& path) {
    // Not blocking: it may be a fifo.
    UniqueFd file = open_file(path, O_RDONLY | O_NONBLOCK);
    if (namespace_type(file.get()) != CLONE_NEWNET) {
        throw Error(
            Code::invalid_argument, "network namespace " + path.native() + ": it is not one"
        );
    }
    return file;
}

Awaitable<UniqueFd>
open_namespace(const asio::any_io_executor& executor, NamespaceSpec spec, Deadline deadline) {
    using Kind = NamespaceSpec::Kind;
    switch (spec.kind) {
    case Kind::fresh:
        co_return co_await make_fresh(executor, deadline);
    case Kind::path:
        co_return open_existing(spec.path);
    case Kind::host:
        break;
    }
    co_return open_existing("/proc/self/ns/net");
}

} // namespace cppvm::network
