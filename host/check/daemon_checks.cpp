#include "common/base/unique_fd.hpp"
#include "common/os/unix_address.hpp"
#include "host/check/host_checks.hpp"

#include <sys/socket.h>

namespace cppvm::check {

namespace {

bool accepts_connections(const std::filesystem::path& path) {
    const sockaddr_un address = unix_address(path, "");
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return socket &&
           ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
               0;
}

} // namespace

std::string libvirtd_remedy() {
    return "start it: systemctl start libvirtd; without systemd: virtlogd -d; libvirtd -d";
}

Check HostChecks::virtlogd() const {
    const char* const name = "virtlogd";
    if (config_.hypervisor.uri != "qemu:///system") {
        return ok(name, "not looked at: the libvirt URI is " + config_.hypervisor.uri);
    }
    if (!accepts_connections(below_root("/run/libvirt/virtlogd-sock"))) {
        return missing(
            name,
            "/run/libvirt/virtlogd-sock does not answer",
            "start it: systemctl start virtlogd.socket; without systemd: virtlogd -d"
        );
    }
    return ok(name, "answers");
}

Check HostChecks::containerd() const {
    const char* const name = "containerd";
    if (!accepts_connections(below_root("/run/containerd/containerd.sock"))) {
        return warning(
            name,
            "/run/containerd/containerd.sock does not answer",
            "start it: systemctl start containerd; not needed where another address is used"
        );
    }
    return ok(name, "answers");
}

} // namespace cppvm::check
