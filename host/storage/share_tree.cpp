#include "host/storage/share_tree.hpp"

#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"

#include <cerrno>
#include <climits>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <vector>

namespace cppvm::storage {

namespace {

void make_directory_at(int share, const std::string& path) {
    if (::mkdirat(share, path.c_str(), 0700) != 0) {
        throw_errno("mkdir", path);
    }
}

void remove_at(int share, const std::string& path) {
    if (::unlinkat(share, path.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
        return;
    }
    // A file is a volume's mount point, and empty; one with content was never made by us.
    struct stat status{};
    if (errno == ENOTDIR && ::fstatat(share, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(status.st_mode) && status.st_size == 0 && ::unlinkat(share, path.c_str(), 0) == 0) {
        return;
    }
    throw_errno("remove", path);
}

std::vector<std::string> list_at(int share, const std::string& path) {
    UniqueFd fd(::openat(share, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
        if (errno == ENOENT) {
            return {};
        }
        throw_errno("list", path);
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd.get()), &::closedir);
    if (!directory) {
        throw_errno("list", path);
    }
    [[maybe_unused]] const int owned = fd.release();
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(directory.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") {
            names.push_back(name);
        }
    }
    return names;
}

} // namespace

void check_container_id(const std::string& container_id) {
    if (container_id.empty() || container_id == "." || container_id == ".." ||
        container_id.size() > NAME_MAX || container_id.find('/') != std::string::npos ||
        container_id.find('\0') != std::string::npos) {
        throw Error(
            Code::invalid_argument,
            "container id '" + container_id.substr(0, 80) + "': not a plain file name"
        );
    }
}

void make_container_tree(int share, const std::string& container_id) {
    if (::mkdirat(share, container_id.c_str(), 0700) != 0) {
        if (errno == EEXIST) {
            throw Error(Code::already_exists, "container " + container_id + " has storage already");
        }
        throw_errno("mkdir", container_id);
    }
    make_directory_at(share, container_id + "/rootfs");
    make_directory_at(share, container_id + "/mounts");
}

void make_volume_point(
    int share, const std::string& container_id, std::size_t index, bool is_directory
) {
    const std::string path = container_id + "/mounts/" + std::to_string(index);
    if (is_directory) {
        make_directory_at(share, path);
        return;
    }
    const UniqueFd fd(
        ::openat(share, path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)
    );
    if (!fd) {
        throw_errno("create", path);
    }
}

void remove_container_tree(int share, const std::string& container_id) {
    const std::string mounts = container_id + "/mounts";
    for (const std::string& name : list_at(share, mounts)) {
        std::string path = mounts;
        path.append("/").append(name);
        remove_at(share, path);
    }
    remove_at(share, mounts);
    remove_at(share, container_id + "/rootfs");
    remove_at(share, container_id);
}

void remove_all_trees(int share) {
    for (const std::string& name : list_at(share, ".")) {
        remove_container_tree(share, name);
    }
}

} // namespace cppvm::storage
