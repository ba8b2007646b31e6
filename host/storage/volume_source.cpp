#include "host/storage/volume_source.hpp"

#include "common/base/error.hpp"
#include "host/storage/id_mapping.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

namespace cppvm::storage {

namespace {

SourceInfo look_at(int source, const VolumeSpec& volume) {
    // The C library's header has no name for it: Linux 5.8 (statx(2)).
    constexpr unsigned mount_id = 0x1000;
    struct statx status{};
    if (::statx(source, "", AT_EMPTY_PATH, STATX_BASIC_STATS | mount_id, &status) != 0) {
        throw_errno("find volume source", volume.source.native());
    }
    struct statvfs file_system{};
    if (::fstatvfs(source, &file_system) != 0) {
        throw_errno("inspect the file system of volume source", volume.source.native());
    }
    SourceInfo info;
    info.key.device = (std::uint64_t{status.stx_dev_major} << 32) | status.stx_dev_minor;
    info.key.inode = status.stx_ino;
    info.key.mount = status.stx_mnt_id;
    info.key.recursive = volume.recursive;
    info.key.recursive_read_only = volume.recursive_read_only;
    info.key.propagate = volume.propagate;
    info.mode = status.stx_mode;
    info.read_only = (file_system.f_flag & ST_RDONLY) != 0;
    return info;
}

} // namespace

VolumeSource open_volume_source(const VolumeSpec& volume) {
    const UniqueFd source = open_mount_source(volume.source);
    const SourceInfo info = look_at(source.get(), volume);
    DetachedMount mount(source.get(), volume.source.native(), volume.recursive);
    // Never as a peer of the source: undoing our copy would then undo the host's mounts below it.
    mount.set_attributes(0, 0, volume.propagate ? MS_SLAVE : MS_PRIVATE, true);
    if (!volume.id_map.is_empty()) {
        mount.set_id_map(make_user_namespace(volume.id_map).get(), volume.recursive_id_map);
    }
    if (volume.recursive_read_only) {
        mount.set_attributes(MOUNT_ATTR_RDONLY, 0, 0, true);
    }
    return {info, std::move(mount)};
}

} // namespace cppvm::storage
