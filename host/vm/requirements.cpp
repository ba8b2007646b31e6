#include "host/vm/requirements.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/config/programs.hpp"
#include "host/vm/firmware.hpp"
#include "host/vm/isolation_checks.hpp"
#include "host/vm/libvirt_client.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <optional>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace cppvm::vm {

namespace {

constexpr std::size_t max_proc_file_bytes = std::size_t{8} * 1024 * 1024;

// The longest name below run_dir, "/<16 digits>/vsock/vhost-vsock.sock".
constexpr std::size_t longest_socket_name = 40;
constexpr std::size_t max_socket_path = 107; // unix(7)

const char* const allow_emulation = "for tests, allow slow software emulation with acceleration = "
                                    "\"emulation\" in [hypervisor] of /etc/cppvm/config.toml";

std::string reason(int error) {
    return std::system_category().message(error);
}

Check ok(std::string name, std::string detail) {
    return {std::move(name), CheckState::ok, std::move(detail), {}};
}

Check missing(std::string name, std::string detail, std::string remedy) {
    return {std::move(name), CheckState::missing, std::move(detail), std::move(remedy)};
}

Check warning(std::string name, std::string detail, std::string remedy) {
    return {std::move(name), CheckState::warning, std::move(detail), std::move(remedy)};
}

// A file of /proc or /sys, or nothing.
std::string read_proc(const std::filesystem::path& path) noexcept {
    try {
        return read_file(path, max_proc_file_bytes);
    } catch (const std::exception&) {
        return {};
    }
}

// The first line that starts with `key`.
std::string_view find_line(std::string_view text, std::string_view key) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        if (text.substr(0, end).starts_with(key)) {
            return text.substr(0, end);
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return {};
}

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

// Where libvirt's virt-aa-helper refuses files of a domain, which libvirt then reports as "cannot
// load AppArmor profile". Written as it has them, some without the last slash.
bool refused_by_apparmor(const std::filesystem::path& path) {
    constexpr std::string_view refused[] = {
        "/bin/",
        "/etc/",
        "/lib",
        "/lost+found/",
        "/proc/",
        "/sbin/",
        "/selinux/",
        "/sys/",
        "/usr/bin/",
        "/usr/lib",
        "/usr/local/bin/",
        "/usr/local/etc/",
        "/usr/local/lib",
        "/usr/local/sbin/",
        "/usr/sbin/",
        "/usr/share/",
    };
    return std::ranges::any_of(refused, [&path](std::string_view directory) {
        return path.native().starts_with(directory);
    });
}

std::optional<std::size_t> available_mib(std::string_view meminfo) {
    std::string_view line = find_line(meminfo, "MemAvailable:");
    const std::size_t digit = line.find_first_of("0123456789");
    std::size_t kib = 0;
    if (digit == std::string_view::npos ||
        std::from_chars(line.data() + digit, line.data() + line.size(), kib).ec != std::errc{}) {
        return std::nullopt;
    }
    return kib / 1024;
}

bool accepts_connections(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.native().size() >= sizeof address.sun_path) {
        return false;
    }
    path.native().copy(address.sun_path, sizeof address.sun_path - 1);
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return socket &&
           ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
               0;
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

std::filesystem::path find_virtiofsd(const config::Config& config) {
    // The distribution's first: it is kept up to date.
    std::filesystem::path packaged = "/usr/libexec/virtiofsd";
    if (config.hypervisor.virtiofsd.empty() && ::access(packaged.c_str(), X_OK) == 0) {
        return packaged;
    }
    return config::find_program("virtiofsd", config.hypervisor.virtiofsd, {"/usr/lib/virtiofsd"});
}

std::filesystem::path find_libvirt_helper(const config::Config& config) {
    return config::find_program("cppvm-libvirt", config.hypervisor.libvirt_helper);
}

std::filesystem::path find_vhost_device_vsock(const config::Config& config) {
    return config::find_program("vhost-device-vsock", config.vsock.vhost_device_vsock);
}

std::string to_text(const Check& check) {
    std::string text = check.name + ": " + check.detail;
    if (!check.remedy.empty()) {
        text.append("; ").append(check.remedy);
    }
    return text;
}

void require(const Check& check) {
    if (check.state == CheckState::missing) {
        throw Error(Code::failed_precondition, to_text(check));
    }
}

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
    const std::string flags(find_line(read_proc(below_root("/proc/cpuinfo")), "flags"));
    if (!has_word(flags, "vmx") && !has_word(flags, "svm")) {
        return missing(
            name,
            "the processor offers no hardware virtualisation (no vmx or svm in /proc/cpuinfo)",
            std::string("switch it on in the firmware, or nested virtualisation in the outer "
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
        [this] { return find_vhost_device_vsock(config_); },
        "load the module: modprobe vhost_vsock; where the kernel has none, install "
        "vhost-device-vsock (scripts/fetch-vhost-device-vsock) and name it with "
        "vhost_device_vsock in [vsock]"
    );
}

// By the sign that libvirt itself goes by: a profile for its daemon is loaded.
bool HostChecks::libvirt_uses_apparmor() const {
    const std::string profiles = read_proc(below_root("/sys/kernel/security/apparmor/profiles"));
    return !find_line(profiles, "libvirtd ").empty() ||
           !find_line(profiles, "/usr/sbin/libvirtd ").empty();
}

Check HostChecks::file(const char* name, const std::filesystem::path& path, std::string remedy)
    const {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (!file || ::fstat(file.get(), &status) != 0) {
        return missing(name, path.native() + ": " + reason(errno), std::move(remedy));
    }
    if (!S_ISREG(status.st_mode) || status.st_size == 0) {
        return missing(name, path.native() + ": not a file with content", std::move(remedy));
    }
    if ((status.st_mode & S_IROTH) == 0) {
        return missing(
            name, path.native() + ": not readable for QEMU's user", "chmod a+r " + path.native()
        );
    }
    std::error_code ignored;
    const auto target = std::filesystem::canonical(path, ignored);
    if (refused_by_apparmor(target) && libvirt_uses_apparmor()) {
        return missing(
            name,
            target.native() + ": libvirt's AppArmor profiles keep QEMU from files there",
            "keep it elsewhere, for instance in /var/lib/cppvm, and name it in [vm]"
        );
    }
    return ok(name, path.native());
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
    const auto path = below_root(qboot_path);
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
        [this] { return find_virtiofsd(config_); },
        "install it: apt-get install virtiofsd; where there is no such package (Debian 12), "
        "scripts/fetch-virtiofsd builds it; or set virtiofsd in [hypervisor]"
    );
}

Check HostChecks::libvirt_helper() const {
    return program(
        "cppvm-libvirt",
        [this] { return find_libvirt_helper(config_); },
        "install it beside the shim, or set libvirt_helper in [hypervisor]"
    );
}

Check HostChecks::kernel() const {
    return file(
        "guest kernel", config_.vm.kernel, "build it: cppvm image build; or set kernel in [vm]"
    );
}

Check HostChecks::initramfs() const {
    return file(
        "guest initramfs",
        config_.vm.initramfs,
        "build it: cppvm image build; or set initramfs in [vm]"
    );
}

Check HostChecks::memory() const {
    const char* const name = "memory";
    if (config_.vm.huge_page_mib != 0) {
        return huge_pages();
    }
    const auto available = available_mib(read_proc(below_root("/proc/meminfo")));
    if (!available) {
        return warning(name, "/proc/meminfo does not say what is available", {});
    }
    const std::string detail = std::to_string(*available) +
                               " MiB available, a machine takes up to " +
                               std::to_string(config_.vm.memory_mib) + " MiB";
    if (*available < config_.vm.memory_mib) {
        return missing(name, detail, "free memory, or lower memory_mib in [vm]");
    }
    return ok(name, detail);
}

// Of the kernel's pool, which nothing else fills (Documentation/admin-guide/mm/hugetlbpage.rst).
Check HostChecks::huge_pages() const {
    const char* const name = "memory";
    const unsigned page = config_.vm.huge_page_mib;
    const unsigned needed = config_.vm.memory_mib / page;
    if (config_.vm.memory_mib % page != 0) {
        return missing(
            name,
            std::to_string(config_.vm.memory_mib) + " MiB are no whole number of pages of " +
                std::to_string(page) + " MiB",
            "change memory_mib or huge_page_mib in [vm]"
        );
    }
    const std::string pool =
        "/sys/kernel/mm/hugepages/hugepages-" + std::to_string(page * 1024) + "kB";
    const std::string text = read_proc(below_root(pool + "/free_hugepages"));
    std::size_t available = 0;
    std::from_chars(text.data(), text.data() + text.size(), available); // 0 where there is no pool
    const std::string detail = std::to_string(available) + " huge pages of " +
                               std::to_string(page) + " MiB free, a machine takes " +
                               std::to_string(needed);
    if (available < needed) {
        return missing(
            name, detail, "echo more into " + pool + "/nr_hugepages, or change [vm] huge_page_mib"
        );
    }
    return ok(name, detail);
}

Check HostChecks::run_dir() const {
    const char* const name = "run directory";
    const std::string path = config_.run_dir;
    if (path.size() + longest_socket_name > max_socket_path) {
        return missing(name, path + ": too long for unix sockets", "choose a shorter run_dir");
    }
    // The nearest directory that is there decides whether the rest can be made.
    std::filesystem::path existing = config_.run_dir;
    while (::access(existing.c_str(), F_OK) != 0 && existing.has_relative_path()) {
        existing = existing.parent_path();
    }
    if (!std::filesystem::is_directory(existing)) {
        return missing(name, existing.native() + ": not a directory", "set run_dir");
    }
    if (::access(existing.c_str(), W_OK | X_OK) != 0) {
        return missing(
            name, existing.native() + ": " + reason(errno), "run as root, or set run_dir"
        );
    }
    return ok(name, path);
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

std::string libvirtd_remedy() {
    return "start it: systemctl start libvirtd; without systemd: virtlogd -d; libvirtd -d";
}

namespace {

Awaitable<Check> ask_libvirtd(config::Config config, Deadline deadline, LibvirtHost& host) {
    const char* const name = "libvirtd";
    try {
        LibvirtClient client(find_libvirt_helper(config), config.hypervisor.uri);
        host = co_await client.ping(deadline);
        co_return ok(name, "version " + host.version + " answers at " + config.hypervisor.uri);
    } catch (const Error& error) {
        co_return missing(name, error.message(), libvirtd_remedy());
    }
}

} // namespace

Awaitable<Check> check_libvirtd(config::Config config, Deadline deadline) {
    LibvirtHost unused;
    co_return co_await ask_libvirtd(std::move(config), deadline, unused);
}

Awaitable<std::vector<Check>> check_host(config::Config config, Deadline deadline) {
    const HostChecks host(config);
    std::vector<Check> checks = host.before_start();
    checks.push_back(host.virtlogd());
    LibvirtHost libvirt;
    checks.push_back(co_await ask_libvirtd(config, deadline, libvirt));
    checks.push_back(host.containerd());
    for (Check& check : check_isolation(config, libvirt.security_models)) {
        checks.push_back(std::move(check));
    }
    co_return checks;
}

} // namespace cppvm::vm
