#pragma once

#include "common/async/asio.hpp"
#include "host/config/config.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm::vm {

enum class CheckState {
    ok,
    warning, ///< works, but worse than it could
    missing, ///< no machine can be started
};

/// One requirement of the host.
struct Check {
    std::string name; ///< "KVM"
    CheckState state = CheckState::ok;
    std::string detail; ///< what was found: "/dev/kvm cannot be opened: permission denied"
    std::string remedy; ///< what to do about it, as a command where there is one; empty if ok
};

/// "<name>: <detail>; <remedy>".
std::string to_text(const Check& check);

/// Throws: Error (failed_precondition) with the check's text if it says missing.
void require(const Check& check);

/// Looks at the host. Each function looks at one requirement, costs microseconds and does not
/// throw.
class HostChecks {
  public:
    /// `root`: where /dev, /proc, /run and /sys are looked for; another one in tests.
    explicit HostChecks(config::Config config, std::filesystem::path root = "/");

    /// KVM usable: /dev/kvm opens and the processor shows vmx or svm (where it does not, as in some
    /// nested machines, KVM answers but guests hang). With acceleration = "emulation": ok.
    Check acceleration() const;
    /// QEMU does not run as root, so its user must reach /dev/kvm. Where it cannot, libvirt also
    /// probes QEMU anew for each domain, which takes seconds.
    Check kvm_permissions() const;
    Check vsock() const;
    Check emulator() const;
    /// Whether qboot is there; without it machines boot more slowly.
    Check firmware() const;
    Check virtiofsd() const;
    Check libvirt_helper() const;
    /// Also missing where libvirt's AppArmor profiles do not let QEMU have them.
    Check kernel() const;
    Check initramfs() const;
    /// With huge_page_mib: whether the pool has enough of them.
    Check memory() const;
    Check run_dir() const;
    /// Only asked by `cppvm check`: libvirt itself says it when a machine is started.
    Check virtlogd() const;
    Check containerd() const;

    /// Those without which no machine starts, in the order in which a user would fix them.
    std::vector<Check> before_start() const;

    /// Whether vhost-device-vsock is to be used instead of the kernel's vhost-vsock.
    bool user_vsock() const;

  private:
    std::filesystem::path below_root(const std::string& path) const;
    Check huge_pages() const;
    bool libvirt_uses_apparmor() const;
    Check file(const char* name, const std::filesystem::path& path, std::string remedy) const;

    config::Config config_;
    std::filesystem::path root_;
};

/// What to do where libvirt does not answer.
std::string libvirtd_remedy();

/// Whether libvirt answers, by the helper. Does not throw except when cancelled.
Awaitable<Check> check_libvirtd(config::Config config, Deadline deadline);

/// Everything, for `cppvm check`.
Awaitable<std::vector<Check>> check_host(config::Config config, Deadline deadline);

/// Where the programs are. Throws: Error that names the places and the remedy.
std::filesystem::path find_virtiofsd(const config::Config& config);
std::filesystem::path find_libvirt_helper(const config::Config& config);
std::filesystem::path find_vhost_device_vsock(const config::Config& config);

} // namespace cppvm::vm
