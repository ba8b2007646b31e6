#include "host/vm/libvirt/helper/placement.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/os/file.hpp"

#include <filesystem>
#include <sys/stat.h>

namespace cppvm::vm::libvirt {

namespace {

constexpr const char* state_dir = "/run/libvirt/qemu";
constexpr const char* library_dir = "/var/lib/libvirt/qemu";

pid_t find_qemu(const std::string& domain) {
    const auto file = std::filesystem::path(state_dir) / (domain + ".pid");
    const auto pid = line_to_number<pid_t>(read_file(file, 32));
    if (!pid || *pid <= 0) {
        throw Error(Code::internal, "read " + file.native() + ": no pid");
    }
    return *pid;
}

} // namespace

void move_qemu(const std::string& domain, const std::vector<cgroup::Place>& cgroups) {
    cgroup::move_to(cgroups, find_qemu(domain));
}

bool open_library_directory() {
    struct stat status{};
    if (::stat(library_dir, &status) != 0 || (status.st_mode & S_IXOTH) != 0) {
        return false; // libvirt is configured otherwise, or all is well
    }
    if (::chmod(library_dir, (status.st_mode & 07777) | S_IXOTH) != 0) {
        throw_errno("let QEMU's users pass through", library_dir);
    }
    return true;
}

} // namespace cppvm::vm::libvirt
