#include "host/storage/mount.hpp"

#include "common/base/error.hpp"
#include "common/base/take_part.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"
#include "common/os/loop_device.hpp"
#include "host/storage/detached_mount.hpp"
#include "host/storage/id_mapping.hpp"
#include "host/storage/mount_failure.hpp"
#include "host/storage/mount_options.hpp"
#include "host/storage/mount_templates.hpp"
#include "host/storage/overlay_options.hpp"
#include "host/storage/scratch_mount.hpp"
#include "host/storage/unmount.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <list>
#include <sys/mount.h>

namespace cppvm::storage {

namespace {

// The image decides what is below `root`: its links must not lead a mount out of it.
UniqueFd open_below(const std::filesystem::path& root, const std::string& path) {
    const UniqueFd base(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!base) {
        throw_errno("open", root.native());
    }
    UniqueFd fd = open_resolved(base.get(), path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    if (!fd) {
        throw_errno("open mount target " + path + " in", root.native());
    }
    return fd;
}

void mount_bind(
    const MountSpec& spec, const MountOptions& options, const std::filesystem::path& target
) {
    if (!options.data.empty()) {
        throw Error(
            Code::invalid_argument,
            "bind " + spec.source + ": unknown mount option '" + options.data + "'"
        );
    }
    DetachedMount mount(spec.source, options.recursive_bind);
    mount.set_attributes(0, 0, MS_PRIVATE, true);
    if (!options.id_map.is_empty()) {
        mount.set_id_map(make_user_namespace(options.id_map).get(), false);
    }
    if ((options.recursive_set | options.recursive_clear) != 0) {
        mount.set_attributes(options.recursive_set, options.recursive_clear, 0, true);
    }
    if ((options.set | options.clear) != 0) {
        mount.set_attributes(options.set, options.clear, 0, false);
    }
    mount.attach(target);
}

/// Those of one mount.
using LoopDevices = std::list<LoopDevice>;

// Of an erofs whose files are in other images: "device=" names each of them.
std::string put_on_loops(std::string_view data, LoopDevices& loops) {
    constexpr std::string_view device = "device=";
    std::string result;
    while (!data.empty()) {
        std::string option(take_part(data, ','));
        if (option.starts_with(device)) {
            const auto& loop = loops.emplace_back(option.substr(device.size()), true);
            option = std::string(device) + loop.path().native();
        }
        result += (result.empty() ? "" : ",") + option;
    }
    return result;
}

void mount_file_system(
    const MountSpec& spec, const MountOptions& options, const std::filesystem::path& target
) {
    LoopDevices loops;
    std::string source = spec.source;
    ShortOverlayOptions overlay{options.data, UniqueFd()};
    if (options.loop) {
        source = loops.emplace_back(spec.source, (options.flags & MS_RDONLY) != 0).path();
        overlay.data = put_on_loops(options.data, loops);
    }
    if (spec.type == "overlay" && options.data.size() > max_mount_data) {
        overlay = shorten_overlay_options(options.data);
    }
    if (overlay.data.size() > max_mount_data) {
        throw Error(
            Code::invalid_argument,
            "mount " + spec.type + ": its options take more than " +
                std::to_string(max_mount_data) + " bytes"
        );
    }
    const int result = ::mount(
        source.c_str(), target.c_str(), spec.type.c_str(), options.flags, overlay.data.c_str()
    );
    if (result != 0) {
        throw_mount_failure(spec, overlay.data, errno);
    }
}

/// Ids can only be mapped by a mount that nobody has seen yet, so it is made elsewhere.
DetachedMount make_mapped(
    const MountSpec& spec, const MountOptions& options, const std::filesystem::path& target
) {
    const ScratchMount scratch(target);
    const std::filesystem::path place = scratch.path() / "mount";
    make_directory(place, 0700);
    const UniqueFd user_namespace = make_user_namespace(options.id_map);
    const bool of_layers = spec.type == "overlay";
    MountOptions changed = options;
    if (of_layers) {
        changed.data = map_lower_layers(options.data, user_namespace.get(), scratch.path());
    }
    mount_file_system(spec, changed, place);
    DetachedMount mount(place, false);
    if (!of_layers) {
        mount.set_id_map(user_namespace.get(), false);
    }
    return mount;
}

void mount_one(const MountSpec& spec, const std::filesystem::path& target) {
    const MountOptions options = parse_mount_options(spec.options);
    UniqueFd fd;
    std::filesystem::path where = target;
    if (!spec.target.empty() && spec.target != "/") {
        fd = open_below(target, spec.target);
        where = "/proc/self/fd/" + std::to_string(fd.get());
    }
    if (options.bind || spec.type == "bind" || spec.type == "rbind") {
        MountOptions bind = options;
        bind.recursive_bind = options.recursive_bind || spec.type == "rbind";
        mount_bind(spec, bind, where);
    } else if (!options.id_map.is_empty()) {
        make_mapped(spec, options, where).attach(where);
    } else {
        mount_file_system(spec, options, where);
    }
    if (options.propagation != 0 && fd) {
        fd = open_below(target, spec.target); // again: now it is the new mount's root
        where = "/proc/self/fd/" + std::to_string(fd.get());
    }
    if (options.propagation != 0 &&
        ::mount(nullptr, where.c_str(), nullptr, options.propagation, nullptr) != 0) {
        throw_errno("set the propagation of", target.native());
    }
}

/// The last of mounts that name each other; the others go out of sight, and with it.
DetachedMount
make_of_steps(std::span<const MountSpec> mounts, const std::filesystem::path& target) {
    const ScratchMount scratch(target);
    std::vector<std::string> places;
    for (const MountSpec& mount : mounts) {
        const std::string place = scratch.path() / std::to_string(places.size());
        make_directory(place, 0700);
        const ExpandedMount expanded = expand(mount, places);
        for (const auto& directory : expanded.directories) {
            make_directory(directory.path, directory.mode);
        }
        mount_one(expanded.mount, place);
        places.push_back(place);
    }
    return {places.back(), true};
}

} // namespace

void mount_all(std::span<const MountSpec> mounts, const std::filesystem::path& target) {
    try {
        if (std::ranges::any_of(mounts, is_template)) {
            try {
                make_of_steps(mounts, target).attach(target);
            } catch (...) {
                rethrow_with_context("mount at " + target.native());
            }
            return;
        }
        for (const MountSpec& mount : mounts) {
            try {
                mount_one(mount, target);
            } catch (...) {
                rethrow_with_context(
                    "mount at " +
                    (target / std::filesystem::path(mount.target).relative_path()).native()
                );
            }
        }
    } catch (const Error& failure) {
        try {
            unmount_all(target);
        } catch (const Error& second) {
            throw Error(
                failure.code(), failure.message() + "; then " + second.message(), failure.cause()
            );
        }
        throw;
    }
}

} // namespace cppvm::storage
