#include "host/check/host_checks.hpp"

#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "host/check/look.hpp"
#include "host/config/firmware.hpp"
#include "host/config/programs.hpp"

#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace cppvm::check {

namespace {

const char* const allow_emulation = "for tests, allow slow software emulation with acceleration = "
                                    "\"emulation\" in [hypervisor] of /etc/cppvm/config.toml";

bool has_word(std::string_view line, std::string_view word) {
    for (std::size_t at = line.find(word); at != std::string_view::npos;
         at = line.find(word, at + 1)) {
        const std::size_t end = at + word.size();
        if (at > 0 && line[at - 1] == ' ' && (end == line.size() || line[end] == ' ')) {
            return true;
        }
    }
    return false;
}

template <class Find>
Check program(const char* name, Find find, std::string remedy) {
    try {
        return ok(name, find().native());
    } catch (const Error& error) {
        return missing(name, error.message(), std::move(remedy));
    }
}

} // namespace

HostChecks::HostChecks(config::Config config, std::filesystem::path root)
    : config_(std::move(config)), root_(std::move(root)) {}

std::filesystem::path HostChecks::below_root(const std::string& path) const {
    return root_ / std::filesystem::path(path).relative_path();
}

Check HostChecks::acceleration() const {
    const char* const name = "KVM";
    if (config_.hypervisor.acceleration == "emulation") {
        return ok(name, "not used: the configuration says software emulation");
    }
    const UniqueFd kvm(::open(below_root("/dev/kvm").c_str(), O_RDWR | O_CLOEXEC));
    const int error = errno;
    const std::string flags(find_line(read_kernel_file(below_root("/proc/cpuinfo")), "flags"));
    if (!has_word(flags, "vmx") && !has_word(flags, "svm")) {
        return missing(
            name,
            "the processor offers no hardware virtualisation (no vmx or svm in /proc/cpuinfo)",
            std::string("enable it in the firmware, or nested virtualisation in the outer "
                        "hypervisor; "
            ) + allow_emulation
        );
    }
    if (!kvm) {
        return missing(
            name,
            "/dev/kvm cannot be opened: " + reason(error),
            std::string("load the module: modprobe kvm_intel or kvm_amd; ") + allow_emulation
        );
    }
    return ok(name, "/dev/kvm opens, the processor has hardware virtualisation");
}

Check HostChecks::kvm_permissions() const {
    const char* const name = "/dev/kvm permissions";
    struct stat status{};
    if (::stat(below_root("/dev/kvm").c_str(), &status) != 0) {
        return ok(name, "no /dev/kvm");
    }
    if ((status.st_mode & 0060) == 0060 && status.st_gid != 0) {
        return ok(name, "open to a group");
    }
    if ((status.st_mode & 0006) == 0006) {
        return ok(name, "open to all");
    }
    std::string detail = "QEMU's user cannot open /dev/kvm";
    const char* const remedy = "chgrp kvm /dev/kvm && chmod 660 /dev/kvm";
    return config_.hypervisor.acceleration == "emulation"
               ? warning(name, detail + ", so libvirt probes QEMU again at each start", remedy)
               : missing(name, detail, remedy);
}

bool HostChecks::user_vsock() const {
    return config_.vsock.transport == "user" ||
           (config_.vsock.transport == "auto" &&
            ::access(below_root("/dev/vhost-vsock").c_str(), F_OK) != 0);
}

Check HostChecks::vsock() const {
    const char* const name = "vsock";
    if (!user_vsock()) {
        if (::access(below_root("/dev/vhost-vsock").c_str(), F_OK) == 0) {
            return ok(name, "/dev/vhost-vsock");
        }
        return missing(
            name,
            "no /dev/vhost-vsock",
            "load the module: modprobe vhost_vsock; or set transport = \"auto\" in [vsock] and "
            "install vhost-device-vsock"
        );
    }
    return program(
        name,
        [this] { return config::find_vhost_device_vsock(config_); },
        "load the module: modprobe vhost_vsock; where the kernel has none, install "
        "vhost-device-vsock (scripts/fetch-vhost-device-vsock) and name it with "
        "vhost_device_vsock in [vsock]"
    );
}

Check HostChecks::taps() const {
    const char* const name = "network interfaces";
    const char* const device = "/dev/net/tun";
    if (::access(below_root(device).c_str(), F_OK) == 0) {
        return ok(name, device);
    }
    return warning(name, std::string("no ") + device, "load the module: modprobe tun");
}

Check HostChecks::emulator() const {
    const auto& path = config_.hypervisor.emulator;
    if (::access(path.c_str(), X_OK) != 0) {
        return missing(
            "QEMU",
            path.native() + ": " + reason(errno),
            "install it: apt-get install qemu-system-x86; or set emulator in [hypervisor]"
        );
    }
    return ok("QEMU", path.native());
}

Check HostChecks::firmware() const {
    const char* const name = "firmware";
    const auto path = below_root(config::qboot_path);
    if (config_.vm.firmware == "seabios") {
        return ok(name, "SeaBIOS");
    }
    if (::access(path.c_str(), R_OK) == 0) {
        return ok(name, path.native());
    }
    const std::string detail = path.native() + ": " + reason(errno);
    if (config_.vm.firmware == "qboot") {
        return missing(name, detail, "set firmware = \"auto\" in [vm]");
    }
    return warning(
        name,
        detail + ", so machines boot by SeaBIOS, which is slower",
        "install it: apt-get install qemu-system-data"
    );
}

Check HostChecks::virtiofsd() const {
    return program(
        "virtiofsd",
        [this] { return config::find_virtiofsd(config_); },
        "install it: apt-get install virtiofsd; where there is no such package (Debian 12), "
        "scripts/fetch-virtiofsd builds it; or set virtiofsd in [hypervisor]"
    );
}

Check HostChecks::libvirt_helper() const {
    return program(
        "cppvm-libvirt",
        [this] { return config::find_libvirt_helper(config_); },
        "install it beside the shim, or set libvirt_helper in [hypervisor]"
    );
}

std::vector<Check> HostChecks::before_start() const {
    return {
        acceleration(),
        kvm_permissions(),
        libvirt_helper(),
        emulator(),
        firmware(),
        virtiofsd(),
        vsock(),
        kernel(),
        initramfs(),
        memory(),
        run_dir(),
    };
}

} // namespace cppvm::check
