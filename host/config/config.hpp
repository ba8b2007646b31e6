#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::config {

/// Everything that can be configured, with the defaults of the product. docs/configuration.md
/// describes each key; the TOML names are the member names, in the tables named by the structs
/// ([hypervisor], [vsock], [vm], [network], [sockets], [isolation], [log]).
struct Hypervisor {
    std::string uri = "qemu:///system";
    /// "kvm", or "emulation" (TCG: tests and demonstrations only, 10 to 30 times slower).
    std::string acceleration = "kvm";
    std::filesystem::path emulator = "/usr/bin/qemu-system-x86_64";
    /// 1.13 or later. Empty: /usr/libexec, then beside the shim, the installed libexec and
    /// /usr/lib/virtiofsd.
    std::filesystem::path virtiofsd;
    /// The program that talks to libvirt; empty: beside the shim, then the installed libexec.
    std::filesystem::path libvirt_helper;
};

struct Vsock {
    /// "auto": the kernel's where /dev/vhost-vsock exists, else vhost-device-vsock; or force
    /// "kernel" or "user".
    std::string transport = "auto";
    /// Empty: searched in PATH and the installed libexec.
    std::filesystem::path vhost_device_vsock;
};

struct Vm {
    unsigned vcpus = 1;
    unsigned memory_mib = 1024; ///< of a pod without a memory limit
    unsigned overhead_mib = 96; ///< what the guest itself needs
    unsigned huge_page_mib = 0; ///< 0: ordinary pages
    std::filesystem::path kernel = "/var/lib/cppvm/vmlinuz";
    std::filesystem::path initramfs = "/var/lib/cppvm/initramfs.img";
    /// "auto": qboot where QEMU's package brings it, else SeaBIOS; or force "qboot" or "seabios".
    std::string firmware = "auto";
    std::string kernel_parameters; ///< appended to the command line
    std::chrono::seconds boot_timeout{60};
    std::chrono::seconds kill_timeout{10};
    std::size_t console_log_bytes = 1024UL * 1024;
};

struct Network {
    /// What a container gets that asks for the host's network: "user" (passt), "none" (loopback
    /// alone), "refuse"; "auto": none where the host has no default route, else user
    /// where passt is installed, else refuse.
    std::string host = "auto";
    /// Empty: searched in PATH.
    std::filesystem::path passt;
};

/// What crosses the border by unix sockets. Nothing by default.
struct Sockets {
    /// Sockets, or directories of sockets, of the host's that containers which bind-mount them can
    /// connect to.
    std::vector<std::filesystem::path> host_to_guest;
};

/// What keeps a sandbox's helpers apart from the host's and from each other's.
struct Isolation {
    /// User ids that nobody else on the host uses; each sandbox takes three.
    unsigned first_uid = 2'000'000'000;
    unsigned uid_count = 100'000'000;
};

struct Log {
    std::string level = "info";
};

struct Config {
    Hypervisor hypervisor;
    Vsock vsock;
    Vm vm;
    Network network;
    Sockets sockets;
    Isolation isolation;
    Log log;
    /// Sockets and shares of the sandboxes live in `<run_dir>/<short id>`.
    std::filesystem::path run_dir = "/run/cppvm";
    /// Where the values came from, in the order in which they were read.
    std::vector<std::filesystem::path> sources;
};

inline constexpr const char* default_path = "/etc/cppvm/config.toml";

/// `path`, then its drop-ins (`<path minus .toml>.d/*.toml`, by name), then `body`; later ones
/// override. A missing default file is fine, a missing file that was asked for is not.
/// Throws: Error (invalid_argument) that names file, line and key for unknown keys, wrong types and
/// values out of range.
Config load(const std::filesystem::path& path, bool required, std::string_view body = {});

/// A whole configuration as `to_toml` writes it; `name` is used in errors. Throws: as `load`.
Config parse(std::string_view text, std::string_view name);

/// Every key with its value. `sources` is not kept.
std::string to_toml(const Config& config);

/// Every key that `load` knows, as "vm.vcpus".
std::vector<std::string> known_keys();

} // namespace cppvm::config
