#include "host/pod/guest_spec.hpp"

#include "common/base/error.hpp"
#include "common/oci/parse.hpp"
#include "common/os/file.hpp"
#include "common/wire/ports.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <optional>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace cppvm::sandbox {

namespace {

// Ordered, so that what the agent reports reads like the file.
using Json = nlohmann::ordered_json;

// File systems that the guest's kernel makes by itself: they need nothing of the host.
constexpr std::array<std::string_view, 8> guest_types = {
    "proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "ramfs"
};

// Each is a mount on the host, a file descriptor of virtiofsd and an inode in the guest.
constexpr std::size_t max_volumes = 1024;

[[noreturn]] void refuse(const std::string& path, const std::string& problem) {
    throw Error(Code::invalid_argument, path + ": " + problem);
}

/// Go writes null for what is empty.
Json* find(Json& object, const char* key) {
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text(Json& object, const char* key, const std::string& path) {
    const Json* const value = find(object, key);
    if (value == nullptr) {
        return {};
    }
    if (!value->is_string()) {
        refuse(path + "." + key, "must be a string");
    }
    return value->get<std::string>();
}

/// A member that must be an object or array, if it is there.
Json* find_container(Json& object, const char* key, const std::string& path, bool array) {
    Json* const value = find(object, key);
    if (value != nullptr && (array ? !value->is_array() : !value->is_object())) {
        refuse(path, array ? "must be an array" : "must be an object");
    }
    return value;
}

/// Whether the device of a number is the same on every machine (the kernel's
/// Documentation/admin-guide/devices.txt), and not one that is handed out at run time.
bool is_allotted(dev_t number) {
    constexpr unsigned misc = 10; // its own minor numbers below 128 and above 255 are handed out
    const unsigned device = major(number);
    return device == misc ? minor(number) >= 128 && minor(number) <= 255
                          : device < 234 || (device > 254 && device < 384);
}

/// The number of the device at `source`; nothing if it is something else, or does not exist, which
/// shows when it is mounted. Looks only below /dev: anywhere else a stat could wait for a server
/// that does not answer. Throws: Error (failed_precondition) for a device that the guest cannot
/// have.
std::optional<dev_t>
character_device(const std::filesystem::path& source, const std::string& path) {
    struct stat status{};
    if (!source.native().starts_with("/dev/") || ::stat(source.c_str(), &status) != 0 ||
        !S_ISCHR(status.st_mode)) {
        return std::nullopt;
    }
    if (!is_allotted(status.st_rdev)) {
        throw Error(
            Code::failed_precondition,
            path + ".source: the device " + source.native() + " (" +
                std::to_string(major(status.st_rdev)) + ":" +
                std::to_string(minor(status.st_rdev)) +
                ") belongs to this host alone; the guest has none like it"
        );
    }
    return status.st_rdev;
}

/// Turns one spec round; the parts are members so that each stays small.
class Translation {
  public:
    explicit Translation(std::filesystem::path bundle) : bundle_(std::move(bundle)) {}

    GuestSpec run(Json config) {
        translate_root(config);
        translate_mounts(config);
        if (Json* const linux_part = find_container(config, "linux", "linux", false)) {
            translate_namespaces(*linux_part);
            // Where the sandbox's cgroup is on the host (host/cgroup); the guest has its own tree.
            linux_part->erase("cgroupsPath");
            translate_resources(*linux_part);
            if (Json* const seccomp =
                    find_container(*linux_part, "seccomp", "linux.seccomp", false)) {
                drop(*seccomp, "listenerPath", "linux.seccomp."); // a socket on the host
            }
        }
        // Programs on the host, and parts for other kinds of host ("vm" names the host's kernels).
        for (const char* const key : {"hooks", "vm", "windows", "solaris", "zos"}) {
            drop(config, key, "");
        }
        config.erase("annotations"); // for runtimes on the host; they tell host paths
        result_.text = config.dump();
        return std::move(result_);
    }

  private:
    void translate_root(Json& config) {
        Json* const root = find_container(config, "root", "root", false);
        if (root == nullptr) {
            refuse("root", "is missing");
        }
        const std::filesystem::path path = text(*root, "path", "root");
        if (path.empty()) {
            refuse("root.path", "must not be empty");
        }
        result_.rootfs_source = path.is_absolute() ? path : bundle_ / path;
        (*root)["path"] = "";
    }

    void translate_mounts(Json& config) {
        Json* const mounts = find_container(config, "mounts", "mounts", true);
        if (mounts == nullptr) {
            return;
        }
        for (std::size_t i = 0; i < mounts->size(); ++i) {
            const std::string path = "mounts[" + std::to_string(i) + "]";
            Json& mount = (*mounts)[i];
            if (!mount.is_object()) {
                refuse(path, "must be an object");
            }
            translate_mount(mount, i, path);
        }
    }

    void translate_mount(Json& mount, std::size_t index, const std::string& path) {
        const std::string type = text(mount, "type", path);
        const auto options = read_options(mount, path);
        const auto has = [&options](std::string_view option) {
            return std::find(options.begin(), options.end(), option) != options.end();
        };
        const bool recursive = has("rbind");
        if (type == "bind" || recursive || has("bind")) {
            const std::filesystem::path source = text(mount, "source", path);
            if (source.empty()) {
                refuse(path + ".source", "must not be empty");
            }
            if (const auto number = character_device(source, path)) {
                bind_device(mount, *number);
                return;
            }
            if (result_.volumes.size() == max_volumes) {
                refuse(path, "more than " + std::to_string(max_volumes) + " bind mounts");
            }
            if (has("shared") || has("rshared")) {
                // What the host mounts shows in the guest; the other way there is none.
                result_.unsupported.push_back(path + ".options[shared]");
            }
            mount["source"] = "";
            result_.volume_mounts.push_back(index);
            result_.volumes.push_back(
                {.source = source.is_absolute() ? source : bundle_ / source,
                 .recursive = recursive,
                 .read_only = has("ro") || has("rro"),
                 .recursive_read_only = has("rro"),
                 .propagate = has("slave") || has("rslave") || has("shared") || has("rshared"),
                 .destination = text(mount, "destination", path)}
            );
            return;
        }
        if (std::find(guest_types.begin(), guest_types.end(), type) == guest_types.end()) {
            throw Error(
                Code::unimplemented,
                path + ".type: file systems of type '" + type +
                    "' cannot be mounted in the guest; bind-mount it from the host instead"
            );
        }
        mount["source"] = type; // a mere label, which could be a path of the host
    }

    // The share carries files: the guest binds its own device of that number.
    static void bind_device(Json& mount, dev_t number) {
        mount["type"] = wire::device_mount_type;
        mount["source"] = std::to_string(major(number)) + ":" + std::to_string(minor(number));
        if (Json* const options = find(mount, "options")) {
            Json kept = Json::array();
            std::copy_if(
                options->begin(),
                options->end(),
                std::back_inserter(kept),
                [](const Json& option) { return option != "bind" && option != "rbind"; }
            );
            *options = std::move(kept);
        }
    }

    static std::vector<std::string> read_options(Json& mount, const std::string& path) {
        std::vector<std::string> options;
        if (Json* const list = find_container(mount, "options", path + ".options", true)) {
            for (const Json& option : *list) {
                if (!option.is_string()) {
                    refuse(path + ".options", "must hold strings");
                }
                options.push_back(option.get<std::string>());
            }
        }
        return options;
    }

    // The machine is the pod: a namespace that a container shares with others on the host is the
    // machine's own in the guest.
    void translate_namespaces(Json& linux_part) {
        Json* const namespaces = find_container(linux_part, "namespaces", "linux.namespaces", true);
        if (namespaces == nullptr) {
            return;
        }
        Json kept = Json::array();
        for (std::size_t i = 0; i < namespaces->size(); ++i) {
            const std::string path = "linux.namespaces[" + std::to_string(i) + "]";
            Json& entry = (*namespaces)[i];
            if (!entry.is_object()) {
                refuse(path, "must be an object");
            }
            if (keep_namespace(entry, path)) {
                kept.push_back(std::move(entry));
            }
        }
        *namespaces = std::move(kept);
    }

    bool keep_namespace(Json& entry, const std::string& path) {
        const std::string type = text(entry, "type", path);
        const std::string shared = text(entry, "path", path);
        if (type == "network") {
            result_.network_path = shared;
            return false;
        }
        if (shared.empty()) {
            return true;
        }
        if (type == "mount" || type == "user") {
            throw Error(
                Code::unimplemented,
                path + ".path: a shared " + type + " namespace is not supported"
            );
        }
        if (type == "pid") {
            // The machine's own holds the agent; the container gets one of its own instead.
            entry.erase("path");
            result_.unsupported.push_back(path + ".path");
            return true;
        }
        return false;
    }

    // Processors, memory nodes and devices of the host are others in the guest. The parts of
    // `resources` that the agent does not read it reports itself.
    void translate_resources(Json& linux_part) {
        const std::string path = "linux.resources";
        Json* const resources = find_container(linux_part, "resources", path, false);
        if (resources == nullptr) {
            return;
        }
        if (Json* const cpu = find_container(*resources, "cpu", path + ".cpu", false)) {
            drop(*cpu, "cpus", path + ".cpu.");
            drop(*cpu, "mems", path + ".cpu.");
        }
        Json* const unified = find_container(*resources, "unified", path + ".unified", false);
        if (unified == nullptr) {
            return;
        }
        std::vector<std::string> names_of_the_host;
        for (const auto& [file, value] : unified->items()) {
            for (const std::string_view controller :
                 {"cpuset.", "io.", "rdma.", "misc.", "hugetlb."}) {
                if (file.starts_with(controller)) {
                    names_of_the_host.push_back(file);
                }
            }
        }
        for (const std::string& file : names_of_the_host) {
            drop(*unified, file, path + ".unified.");
        }
    }

    void drop(Json& object, const std::string& key, const std::string& parent) {
        const Json* const value = find(object, key.c_str());
        const bool no_text =
            value != nullptr && value->is_string() && value->get_ref<const std::string&>().empty();
        if (value != nullptr && !value->empty() && !no_text) {
            result_.unsupported.push_back(parent + key);
        }
        object.erase(key);
    }

    std::filesystem::path bundle_;
    GuestSpec result_;
};

} // namespace

std::string text_for(const GuestSpec& spec, const storage::SharedNames& names) {
    Json config = Json::parse(spec.text);
    config["root"]["path"] = std::string(wire::guest_roots_path) + "/" + names.rootfs;
    for (std::size_t i = 0; i < spec.volume_mounts.size(); ++i) {
        config["mounts"][spec.volume_mounts[i]]["source"] =
            std::string(wire::guest_volumes_path) + "/" + names.volumes.at(i);
    }
    return config.dump();
}

GuestSpec make_guest_spec(std::string_view config, const std::filesystem::path& bundle) {
    // Refuses what the agent would refuse (no JSON, nested without end, wrong types, another
    // version), before anything is made for it.
    oci::Parsed<oci::Spec> parsed = oci::parse_spec(config);
    GuestSpec spec = Translation(bundle).run(Json::parse(config));
    spec.process = std::move(parsed.value.process);
    return spec;
}

GuestSpec load_guest_spec(const std::filesystem::path& bundle) {
    const auto path = bundle / "config.json";
    std::string config;
    try {
        config = read_file(path, oci::max_spec_bytes);
    } catch (const Error& error) {
        if (error.cause().value() == ENOENT) {
            throw Error(Code::failed_precondition, error.message(), error.cause());
        }
        throw;
    }
    try {
        return make_guest_spec(config, bundle);
    } catch (...) {
        rethrow_with_context("read " + path.native());
    }
}

} // namespace cppvm::sandbox
