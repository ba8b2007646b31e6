#include "host/vm/vfio_node.hpp"

#include "common/base/error.hpp"

#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace cppvm::vm {

VfioNode::VfioNode(std::filesystem::path node, uid_t user, gid_t group) : node_(std::move(node)) {
    struct stat status{};
    if (::stat(node_.c_str(), &status) != 0) {
        throw_errno("look at", node_.native());
    }
    owner_ = status.st_uid;
    owning_group_ = status.st_gid;
    if (::chown(node_.c_str(), user, group) != 0) {
        throw_errno("give QEMU's user", node_.native());
    }
}

VfioNode::~VfioNode() {
    // It is gone where the device was unbound meanwhile; else take_back_vfio_nodes() tries again.
    static_cast<void>(::chown(node_.c_str(), owner_, owning_group_));
}

void take_back_vfio_nodes(uid_t user, const std::filesystem::path& directory) {
    std::error_code none; // VFIO is not in use
    for (const auto& entry : std::filesystem::directory_iterator(directory, none)) {
        struct stat status{};
        if (::lstat(entry.path().c_str(), &status) == 0 && status.st_uid == user &&
            ::lchown(entry.path().c_str(), 0, 0) != 0) {
            throw_errno("give root", entry.path().native());
        }
    }
}

} // namespace cppvm::vm
