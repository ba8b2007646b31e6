#pragma once

#include "host/check/check.hpp"
#include "host/config/config.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm::check {

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
    /// probes QEMU again for each domain, which takes seconds.
    Check kvm_permissions() const;
    Check vsock() const;
    /// Whether machines can have network interfaces; without it they start with loopback alone.
    Check taps() const;
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

} // namespace cppvm::check
