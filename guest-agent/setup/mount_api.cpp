#include "guest-agent/setup/mount_api.hpp"

#include "common/base/error.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

/// What a file system logged about a failed fsconfig: lines "e text", read one by one from the
/// context's descriptor (fsopen(2)).
std::string file_system_words(int context) {
    std::string words;
    std::array<char, 256> line{};
    for (int i = 0; i < 4; ++i) {
        const ssize_t size = ::read(context, line.data(), line.size());
        if (size <= 2) {
            break;
        }
        words += " (" + std::string(line.data() + 2, static_cast<std::size_t>(size) - 2);
        while (!words.empty() && words.back() == '\n') {
            words.pop_back();
        }
        words += ")";
    }
    return words;
}

[[noreturn]] void throw_fsconfig(int context, const std::string& what, std::string_view name) {
    const int error = errno;
    throw_errno(what + " of mount", std::string(name) + file_system_words(context), error);
}

void configure(int context, const std::string& option, std::string_view name) {
    const std::size_t equals = option.find('=');
    const std::string key = option.substr(0, equals);
    const int failed =
        equals == std::string::npos
            ? ::fsconfig(context, FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
            : ::fsconfig(context, FSCONFIG_SET_STRING, key.c_str(), option.c_str() + equals + 1, 0);
    if (failed != 0) {
        throw_fsconfig(context, "set option '" + option + "'", name);
    }
}

} // namespace

UniqueFd clone_mount(int directory, const char* path, bool recursive, std::string_view name) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
    if (recursive) {
        flags |= AT_RECURSIVE;
    }
    UniqueFd mount(::open_tree(directory, path, flags));
    if (!mount) {
        throw_errno("clone mount", name);
    }
    return mount;
}

UniqueFd make_mount(
    const std::string& type,
    const std::string& source,
    const std::vector<std::string>& options,
    std::uint64_t attributes,
    std::string_view name
) {
    const UniqueFd context(::fsopen(type.c_str(), FSOPEN_CLOEXEC));
    if (!context) {
        throw_errno("open file system '" + type + "' for mount", name);
    }
    if (!source.empty() &&
        ::fsconfig(context.get(), FSCONFIG_SET_STRING, "source", source.c_str(), 0) != 0) {
        throw_fsconfig(context.get(), "set source '" + source + "'", name);
    }
    for (const std::string& option : options) {
        configure(context.get(), option, name);
    }
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
        throw_fsconfig(context.get(), "create file system '" + type + "'", name);
    }
    UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned int>(attributes))
    );
    if (!mount) {
        throw_errno("mount", name);
    }
    return mount;
}

void set_mount_attributes(
    int mount, std::uint64_t set, std::uint64_t clear, bool recursive, std::string_view name
) {
    if (set == 0 && clear == 0) {
        return;
    }
    struct mount_attr attributes{};
    attributes.attr_set = set;
    attributes.attr_clr = clear;
    const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
    if (::mount_setattr(mount, "", flags, &attributes, sizeof attributes) != 0) {
        throw_errno("set attributes of mount", name);
    }
}

void set_mount_propagation(int mount, unsigned long flags, std::string_view name) {
    struct mount_attr attributes{};
    attributes.propagation = flags & ~static_cast<unsigned long>(MS_REC);
    const unsigned at_flags = AT_EMPTY_PATH | ((flags & MS_REC) != 0 ? AT_RECURSIVE : 0U);
    if (::mount_setattr(mount, "", at_flags, &attributes, sizeof attributes) != 0) {
        throw_errno("set propagation of mount", name);
    }
}

void attach_mount(int mount, int target, std::string_view name) {
    if (::move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) !=
        0) {
        throw_errno("attach mount", name);
    }
}

void remove_mount_place(const std::filesystem::path& place) noexcept {
    while (::umount2(place.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
    }
    ::rmdir(place.c_str());
}

} // namespace cppvm::guest
