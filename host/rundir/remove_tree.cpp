#include "host/rundir/remove_tree.hpp"

#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"

#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <memory>
#include <sys/stat.h>

namespace cppvm {

namespace {

constexpr int max_depth = 64;

[[noreturn]] void fail(const std::filesystem::path& path, int error) {
    if (error == EXDEV || error == EBUSY) {
        throw Error(
            Code::failed_precondition,
            "remove " + path.native() + ": something is still mounted there; unmount it first",
            std::error_code(error, std::system_category())
        );
    }
    throw_errno("remove", path.native(), error);
}

// Opens a directory below `parent` without crossing into another mount, bind mounts of the same
// filesystem included (RESOLVE_NO_XDEV; comparing st_dev would miss those).
UniqueFd open_directory(int parent, const std::filesystem::path& name, std::uint64_t resolve) {
    return open_resolved(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve);
}

struct CloseDir {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

void remove_contents(UniqueFd directory, const std::filesystem::path& path, int depth);

void remove_entry(int parent, const char* name, const std::filesystem::path& path, int depth) {
    if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) {
        return;
    }
    if (errno != EISDIR) {
        fail(path, errno);
    }
    UniqueFd child =
        open_directory(parent, name, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
    if (!child) {
        fail(path, errno);
    }
    remove_contents(std::move(child), path, depth + 1);
    if (::unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        fail(path, errno);
    }
}

void remove_contents(UniqueFd directory, const std::filesystem::path& path, int depth) {
    if (depth > max_depth) {
        fail(path, ELOOP);
    }
    const std::unique_ptr<DIR, CloseDir> entries(::fdopendir(directory.get()));
    if (!entries) {
        fail(path, errno);
    }
    const int fd = directory.release(); // the DIR's now
    while (const dirent* const entry = ::readdir(entries.get())) {
        const char* const name = entry->d_name;
        if (std::strcmp(name, ".") != 0 && std::strcmp(name, "..") != 0) {
            remove_entry(fd, name, path / name, depth);
        }
    }
}

} // namespace

void remove_tree(const std::filesystem::path& path) {
    // From the parent on, so that `path` itself is not entered if something is mounted on it.
    const UniqueFd parent = open_directory(AT_FDCWD, path.parent_path(), 0);
    if (!parent) {
        if (errno == ENOENT) {
            return;
        }
        fail(path.parent_path(), errno);
    }
    remove_entry(parent.get(), path.filename().c_str(), path, 0);
}

} // namespace cppvm
