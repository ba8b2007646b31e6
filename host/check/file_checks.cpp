#include "common/base/unique_fd.hpp"
#include "host/check/host_checks.hpp"
#include "host/check/look.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace cppvm::check {

namespace {

// The longest name below run_dir, "/<16 digits>/vsock/vhost-vsock.sock".
constexpr std::size_t longest_socket_name = 40;
constexpr std::size_t max_socket_path = 107; // unix(7)

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

} // namespace

// By the sign that libvirt itself goes by: a profile for its daemon is loaded.
bool HostChecks::libvirt_uses_apparmor() const {
    const std::string profiles =
        read_kernel_file(below_root("/sys/kernel/security/apparmor/profiles"));
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

} // namespace cppvm::check
