#include "guest-agent/setup/copy_tree.hpp"

#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"

#include <array>
#include <climits>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace cppvm::guest {

namespace {

constexpr int max_depth = 256; ///< three descriptors each
constexpr std::size_t chunk = 1UL << 20;

std::vector<std::string> read_names(int directory, const std::string& name) {
    UniqueFd readable(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(readable.get()), &::closedir);
    if (!stream) {
        throw_errno("open", name);
    }
    static_cast<void>(readable.release()); // the stream's
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream.get())) {
        const std::string word = static_cast<const char*>(entry->d_name);
        if (word != "." && word != "..") {
            names.push_back(word);
        }
    }
    if (errno != 0) {
        throw_errno("read", name);
    }
    return names;
}

void copy_file(int from, int to, const char* entry, const std::string& name) {
    const UniqueFd source(::openat(from, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    const UniqueFd copy(
        ::openat(to, entry, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)
    );
    ssize_t size = source && copy ? 1 : -1;
    while (size > 0) {
        size = ::sendfile(copy.get(), source.get(), nullptr, chunk);
    }
    if (size < 0) {
        throw_errno("copy", name);
    }
}

void copy_link(int from, int to, const char* entry, const std::string& name) {
    std::array<char, PATH_MAX> target{};
    if (::readlinkat(from, entry, target.data(), target.size() - 1) < 0 ||
        ::symlinkat(target.data(), to, entry) != 0) {
        throw_errno("copy link", name);
    }
}

/// `entry` of `directory` gets owner, mode and times of the original.
void copy_attributes(
    const struct stat& original, int directory, const char* entry, const std::string& name
) {
    const std::array<timespec, 2> times{original.st_atim, original.st_mtim};
    if (::fchownat(directory, entry, original.st_uid, original.st_gid, AT_SYMLINK_NOFOLLOW) != 0 ||
        (!S_ISLNK(original.st_mode) &&
         ::fchmodat(directory, entry, original.st_mode & 07777, 0) != 0) ||
        ::utimensat(directory, entry, times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
        throw_errno("copy attributes of", name);
    }
}

void copy_directory(int from, int to, const std::string& name, int depth);

void copy_subdirectory(int from, int to, const char* entry, const std::string& name, int depth) {
    constexpr int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    const UniqueFd source(::openat(from, entry, flags));
    if (!source || ::mkdirat(to, entry, 0700) != 0) {
        throw_errno("copy directory", name);
    }
    const UniqueFd copy(::openat(to, entry, flags));
    if (!copy) {
        throw_errno("open", name);
    }
    copy_directory(source.get(), copy.get(), name, depth + 1);
}

void copy_directory(int from, int to, const std::string& name, int depth) {
    if (depth > max_depth) {
        throw_errno("copy", name, ENAMETOOLONG);
    }
    for (const std::string& entry : read_names(from, name)) {
        std::string path = name;
        path.append("/").append(entry);
        struct stat status{};
        if (::fstatat(from, entry.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            throw_errno("stat", path);
        }
        if (S_ISDIR(status.st_mode)) {
            copy_subdirectory(from, to, entry.c_str(), path, depth);
        } else if (S_ISREG(status.st_mode)) {
            copy_file(from, to, entry.c_str(), path);
        } else if (S_ISLNK(status.st_mode)) {
            copy_link(from, to, entry.c_str(), path);
        } else if (::mknodat(to, entry.c_str(), status.st_mode & S_IFMT, status.st_rdev) != 0) {
            throw_errno("copy node", path);
        }
        copy_attributes(status, to, entry.c_str(), path);
    }
}

} // namespace

void copy_tree(int from, int to, const std::string& name) {
    copy_directory(from, to, name, 0);
}

} // namespace cppvm::guest
