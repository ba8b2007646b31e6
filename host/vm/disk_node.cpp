#include "host/vm/disk_node.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::vm {

namespace {

constexpr const char* device_directory = "/dev";

std::string prefix_of(const std::string& domain) {
    return domain + ".";
}

} // namespace

DiskNode::DiskNode(
    const std::string& domain, const Disk& disk, pid_t qemu, uid_t owner, gid_t group
)
    : path_(std::filesystem::path(device_directory) / (prefix_of(domain) + disk.name)),
      qemus_directory_(open_file(
          "/proc/" + std::to_string(qemu) + "/root" + device_directory, O_PATH | O_DIRECTORY
      )) {
    const mode_t mode = disk.read_only ? 0400 : 0600;
    ::unlink(path_.c_str());
    if (::mknod(path_.c_str(), S_IFBLK | mode, disk.device) != 0) {
        throw_errno("make device node", path_.native());
    }
    if (::chown(path_.c_str(), owner, group) != 0 || ::chmod(path_.c_str(), mode) != 0) {
        const int error = errno;
        ::unlink(path_.c_str());
        throw_errno("hand over device node", path_.native(), error);
    }
}

DiskNode::~DiskNode() {
    ::unlink(path_.c_str());
    ::unlinkat(qemus_directory_.get(), path_.filename().c_str(), 0);
}

void remove_disk_nodes(const std::string& domain) {
    for (const auto& entry : std::filesystem::directory_iterator(device_directory)) {
        if (entry.path().filename().native().starts_with(prefix_of(domain))) {
            ::unlink(entry.path().c_str());
        }
    }
}

} // namespace cppvm::vm
