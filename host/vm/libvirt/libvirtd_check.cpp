#include "host/vm/libvirt/libvirtd_check.hpp"

#include "common/base/error.hpp"
#include "host/check/host_checks.hpp"
#include "host/config/programs.hpp"

namespace cppvm::vm {

Awaitable<LibvirtdCheck> check_libvirtd(config::Config config, Deadline deadline) {
    const char* const name = "libvirtd";
    try {
        LibvirtClient client(config::find_libvirt_helper(config), config.hypervisor.uri);
        LibvirtHost host = co_await client.ping(deadline);
        const std::string detail =
            "version " + host.version + " answers at " + config.hypervisor.uri;
        co_return LibvirtdCheck{check::ok(name, detail), std::move(host)};
    } catch (const Error& error) {
        co_return LibvirtdCheck{
            check::missing(name, error.message(), check::libvirtd_remedy()), {}
        };
    }
}

} // namespace cppvm::vm
