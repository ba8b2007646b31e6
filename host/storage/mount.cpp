#include "host/storage/mount.hpp"

#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"
#include "host/storage/mount_options.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

namespace cppvm::storage {

namespace {

// mount(2) copies at most one page of data, with its terminating zero.
constexpr std::size_t max_data_bytes = 4095;

std::string describe(const MountSpec& mount) {
    return mount.type + " " + mount.source.substr(0, 256);
}

/// The place of a mount below `root`, as a path that means exactly that.
UniqueFd open_target(const std::filesystem::path& root, const std::string& target) {
    const UniqueFd root_fd = open_file(root, O_PATH | O_DIRECTORY);
    struct open_how how {};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    UniqueFd fd(static_cast<int>(::syscall(
        SYS_openat2, root_fd.get(), target.empty() ? "." : target.c_str(), &how, sizeof how
    )));
    if (!fd) {
        throw_errno("open mount target", (root / target).native());
    }
    return fd;
}

struct LongOptions {
    std::string directory; ///< to which the lower directories are relative
    std::string data;
};

/// Many layers with long paths exceed a page; named from their common directory they do not
/// (containerd's own mount code does the same).
LongOptions shorten_lower_dirs(const MountSpec& mount, const std::string& data) {
    constexpr std::string_view key = "lowerdir=";
    const std::size_t begin = data.find(key);
    if (begin == std::string::npos) {
        throw Error(Code::invalid_argument, "mount " + describe(mount) + ": options are too long");
    }
    const std::size_t first = begin + key.size();
    const std::size_t end = std::min(data.find(',', first), data.size());
    std::string_view rest = std::string_view(data).substr(first, end - first);
    std::vector<std::string_view> lower;
    while (!rest.empty()) {
        const std::size_t colon = std::min(rest.find(':'), rest.size());
        lower.push_back(rest.substr(0, colon));
        rest.remove_prefix(std::min(colon + 1, rest.size()));
    }
    std::string_view common = lower.front();
    for (const auto directory : lower) {
        const auto differs = std::mismatch(
            common.begin(), common.end(), directory.begin(), directory.end()
        );
        common = common.substr(0, static_cast<std::size_t>(differs.first - common.begin()));
    }
    common = common.substr(0, common.rfind('/') + 1);
    LongOptions result{std::string(common), data.substr(0, first)};
    for (std::size_t i = 0; i < lower.size(); ++i) {
        result.data.append(i == 0 ? "" : ":").append(lower[i].substr(common.size()));
    }
    result.data.append(data, end);
    if (common.empty() || result.data.size() > max_data_bytes) {
        throw Error(
            Code::invalid_argument,
            "mount " + describe(mount) + ": " + std::to_string(lower.size()) +
                " layers are too many for one mount"
        );
    }
    return result;
}

int mount_from_directory(
    const MountSpec& mount, const std::string& target, unsigned long flags,
    const LongOptions& options
) {
    int error = 0;
    // A working directory of its own, in a thread of its own: the process keeps its one.
    std::thread worker([&] {
        if (::unshare(CLONE_FS) != 0 || ::chdir(options.directory.c_str()) != 0 ||
            ::mount(
                mount.source.c_str(), target.c_str(), mount.type.c_str(), flags,
                options.data.c_str()
            ) != 0) {
            error = errno;
        }
    });
    worker.join();
    return error;
}

void mount_file_system(
    const MountSpec& mount, const UniqueFd& target_fd, const MountOptions& options
) {
    const std::string target = "/proc/self/fd/" + std::to_string(target_fd.get());
    int error = 0;
    if (options.data.size() > max_data_bytes) {
        error = mount_from_directory(
            mount, target, options.flags, shorten_lower_dirs(mount, options.data)
        );
    } else if (::mount(
                   mount.source.c_str(), target.c_str(), mount.type.c_str(), options.flags,
                   options.data.c_str()
               ) != 0) {
        error = errno;
    }
    if (error == ENODEV) {
        throw Error(
            Code::failed_precondition,
            "mount " + describe(mount) + ": this kernel knows no file system of type '" +
                mount.type + "'"
        );
    }
    if (error != 0) {
        throw_errno("mount", describe(mount), error);
    }
}

} // namespace

void mount_all(const std::vector<MountSpec>& mounts, const std::filesystem::path& target) {
    for (const MountSpec& mount : mounts) {
        MountOptions options;
        try {
            options = parse_mount_options(mount.options);
        } catch (...) {
            rethrow_with_context("mount " + describe(mount));
        }
        const UniqueFd place = open_target(target, mount.target);
        if (mount.type == "bind" || options.bind) {
            bind(
                mount.source, "/proc/self/fd/" + std::to_string(place.get()),
                {options.recursive, options.flags, options.recursive_read_only}
            );
        } else {
            mount_file_system(mount, place, options);
        }
    }
}

void bind(
    const std::filesystem::path& source, const std::filesystem::path& target,
    const BindOptions& options
) {
    const unsigned recursive = options.recursive ? AT_RECURSIVE : 0;
    const UniqueFd tree(::open_tree(
        AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive
    ));
    if (!tree) {
        throw_errno("bind-mount", source.native());
    }
    struct mount_attr follow {};
    follow.propagation = MS_SLAVE;
    struct mount_attr top {};
    top.attr_set = to_mount_attributes(options.flags);
    const unsigned top_recursive = options.recursive_read_only ? AT_RECURSIVE : 0;
    if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &follow, sizeof follow) != 0 ||
        ::mount_setattr(tree.get(), "", AT_EMPTY_PATH | top_recursive, &top, sizeof top) != 0) {
        throw_errno("set mount attributes of", source.native());
    }
    if (::move_mount(
            tree.get(), "", AT_FDCWD, target.c_str(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS
        ) != 0) {
        throw_errno("bind-mount", source.native());
    }
}

} // namespace cppvm::storage
