#include "host/storage/scratch_mount.hpp"

#include "common/base/error.hpp"

#include <fcntl.h>
#include <string>
#include <sys/mount.h>

namespace cppvm::storage {

namespace {

UniqueFd make_tmpfs(const std::string& name) {
    const UniqueFd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
    if (!context || ::fsconfig(context.get(), FSCONFIG_SET_STRING, "mode", "0700", 0) != 0 ||
        ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
        throw_errno("make a tmpfs for", name);
    }
    constexpr unsigned closed = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, closed));
    if (!mount) {
        throw_errno("make a tmpfs for", name);
    }
    return mount;
}

} // namespace

ScratchMount::ScratchMount(const std::filesystem::path& target)
    : fd_(make_tmpfs(target.native())), path_("/proc/self/fd/" + std::to_string(fd_.get())) {
    constexpr unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
    if (::move_mount(fd_.get(), "", AT_FDCWD, target.c_str(), flags) != 0) {
        throw_errno("mount a tmpfs at", target.native());
    }
}

ScratchMount::~ScratchMount() {
    ::umount2(path_.c_str(), MNT_DETACH);
}

} // namespace cppvm::storage
