#include "host/storage/share.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/storage/mount.hpp"
#include "host/storage/mount_table.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

namespace cppvm::storage {

namespace {

/// Removes empty directories and empty files, depth first. The kernel itself refuses to remove a
/// mount point, and rmdir a directory with something in it.
void remove_empty(const std::filesystem::path& path) {
    std::error_code error;
    const auto status = std::filesystem::symlink_status(path, error);
    if (status.type() == std::filesystem::file_type::not_found) {
        return;
    }
    if (status.type() == std::filesystem::file_type::directory) {
        for (const auto& entry : std::filesystem::directory_iterator(path)) {
            remove_empty(entry.path());
        }
        if (::rmdir(path.c_str()) != 0 && errno != ENOENT) {
            throw_errno("rmdir", path.native());
        }
        return;
    }
    if (status.type() != std::filesystem::file_type::regular ||
        std::filesystem::file_size(path) != 0) {
        throw Error(Code::internal, "remove " + path.native() + ": not an empty file of ours");
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        throw_errno("unlink", path.native());
    }
}

void check_name(const std::string& id) {
    if (id.empty() || id == "." || id == ".." || id.find('/') != std::string::npos) {
        throw Error(Code::invalid_argument, "container id '" + id + "' is not a file name");
    }
}

std::string warning_for(const VolumeSpec& volume, const struct stat& status) {
    if (S_ISSOCK(status.st_mode)) {
        return "volume " + volume.source.native() +
               " is a socket: processes in the guest cannot connect to it";
    }
    return {};
}

} // namespace

std::unique_ptr<Share> Share::create(const std::filesystem::path& directory) {
    make_directory(directory, 0755);
    std::unique_ptr<Share> share(new Share(directory));
    if (::mount(directory.c_str(), directory.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
        ::mount(nullptr, directory.c_str(), nullptr, MS_PRIVATE, nullptr) != 0 ||
        ::mount(nullptr, directory.c_str(), nullptr, MS_SHARED, nullptr) != 0) {
        throw_errno("make a shared mount of", directory.native());
    }
    return share;
}

Share::~Share() {
    try {
        undo();
    } catch (const std::exception&) {
        // `delete` tries again, and says so if it cannot either
    }
}

std::filesystem::path Share::container_dir(const std::string& id) const {
    check_name(id);
    return directory_ / id;
}

std::vector<std::string> Share::add_container(
    const std::string& id, const std::vector<MountSpec>& rootfs,
    const std::filesystem::path& rootfs_source, const std::vector<VolumeSpec>& volumes
) {
    const auto dir = container_dir(id);
    make_directory(dir, 0755);
    make_directory(dir / "rootfs", 0755);
    if (rootfs.empty()) {
        bind(rootfs_source, dir / "rootfs", {.recursive = true});
    } else {
        mount_all(rootfs, dir / "rootfs");
    }
    std::vector<std::string> warnings;
    if (!volumes.empty()) {
        make_directory(dir / "mounts", 0755);
    }
    for (std::size_t i = 0; i < volumes.size(); ++i) {
        const VolumeSpec& volume = volumes[i];
        struct stat status {};
        if (::stat(volume.source.c_str(), &status) != 0) {
            throw_errno("find the source of a bind mount,", volume.source.native());
        }
        const auto place = dir / "mounts" / std::to_string(i);
        if (S_ISDIR(status.st_mode)) {
            make_directory(place, 0755);
        } else {
            open_file(place, O_CREAT | O_EXCL | O_WRONLY, 0644);
        }
        bind(
            volume.source, place,
            {volume.recursive, volume.read_only ? static_cast<unsigned long>(MS_RDONLY) : 0UL}
        );
        if (auto warning = warning_for(volume, status); !warning.empty()) {
            warnings.push_back(std::move(warning));
        }
    }
    return warnings;
}

void Share::remove_container(const std::string& id) {
    const auto dir = container_dir(id);
    unmount_below(dir);
    remove_empty(dir);
}

void Share::undo() {
    if (!undone_) {
        undo_leftovers(directory_);
        undone_ = true;
    }
}

void undo_leftovers(const std::filesystem::path& share_directory) {
    unmount_below(share_directory);
    remove_empty(share_directory);
}

} // namespace cppvm::storage
