#include "common/oci/parse.hpp"

#include "common/oci/json_object.hpp"

namespace cppvm::oci {

namespace {

using detail::fail;
using detail::Json;
using detail::JsonObject;

Json parse_text(std::string_view text, const std::string& name) {
    if (text.size() > max_spec_bytes) {
        fail(
            name,
            "is " + std::to_string(text.size()) + " bytes large, the limit is " +
                std::to_string(max_spec_bytes)
        );
    }
    // The parser itself does not recurse, but what reads and destroys the tree might.
    const auto check_depth = [&name](int depth, Json::parse_event_t, Json&) {
        if (depth > max_spec_depth) {
            fail(name, "is nested deeper than " + std::to_string(max_spec_depth) + " levels");
        }
        return true;
    };
    try {
        return Json::parse(text.begin(), text.end(), check_depth);
    } catch (const Json::parse_error& error) {
        fail(name, "is not JSON (byte " + std::to_string(error.byte) + ")");
    }
}

Capabilities read_capabilities(JsonObject& object) {
    Capabilities capabilities;
    capabilities.bounding = object.texts("bounding");
    capabilities.effective = object.texts("effective");
    capabilities.inheritable = object.texts("inheritable");
    capabilities.permitted = object.texts("permitted");
    capabilities.ambient = object.texts("ambient");
    return capabilities;
}

Process read_process(JsonObject& object) {
    Process process;
    process.terminal = object.boolean("terminal");
    object.object("consoleSize", [&](JsonObject& size) {
        process.console_size = ConsoleSize{
            size.required_number<std::uint32_t>("height"),
            size.required_number<std::uint32_t>("width")
        };
    });
    object.object("user", [&](JsonObject& user) {
        process.user.uid = user.number_or<std::uint32_t>("uid", 0);
        process.user.gid = user.number_or<std::uint32_t>("gid", 0);
        process.user.umask = user.number<std::uint32_t>("umask");
        process.user.additional_gids = user.ids("additionalGids");
        if (process.user.umask.value_or(0) > 0777) {
            fail(user.at("umask"), "is out of range");
        }
    });
    process.args = object.texts("args");
    if (process.args.empty() || process.args[0].empty()) {
        fail(object.at("args"), "must not be empty");
    }
    process.env = object.texts("env");
    process.cwd = object.absolute_path("cwd");
    object.object("capabilities", [&](JsonObject& capabilities) {
        process.capabilities = read_capabilities(capabilities);
    });
    object.objects("rlimits", [&](JsonObject& limit) {
        process.rlimits.push_back(
            {limit.required_text("type"),
             limit.required_number<std::uint64_t>("soft"),
             limit.required_number<std::uint64_t>("hard")}
        );
    });
    process.no_new_privileges = object.boolean("noNewPrivileges");
    process.oom_score_adj = object.number<int>("oomScoreAdj");
    if (process.oom_score_adj &&
        (*process.oom_score_adj < -1000 || *process.oom_score_adj > 1000)) {
        fail(object.at("oomScoreAdj"), "must be between -1000 and 1000");
    }
    return process;
}

Mount read_mount(JsonObject& object) {
    Mount mount;
    mount.destination = object.absolute_path("destination");
    mount.type = object.text("type");
    mount.source = object.text("source");
    mount.options = object.texts("options");
    for (const char* key : {"uidMappings", "gidMappings"}) {
        const Json* mappings = object.find(key);
        mount.id_mapped = mount.id_mapped || (mappings != nullptr && !mappings->empty());
    }
    return mount;
}

std::vector<IdMapping> read_mappings(JsonObject& object, const char* key) {
    std::vector<IdMapping> mappings;
    object.objects(key, [&](JsonObject& mapping) {
        mappings.push_back(
            {mapping.number_or<std::uint32_t>("containerID", 0),
             mapping.number_or<std::uint32_t>("hostID", 0),
             mapping.required_number<std::uint32_t>("size")}
        );
    });
    return mappings;
}

Device read_device(JsonObject& object) {
    Device device;
    device.path = object.absolute_path("path");
    device.type = object.required_text("type");
    if (device.type.size() != 1 || device.type.find_first_of("cubp") != 0) {
        fail(object.at("type"), "must be c, u, b or p");
    }
    device.major = object.number_or<std::int64_t>("major", 0);
    device.minor = object.number_or<std::int64_t>("minor", 0);
    device.file_mode = object.number<std::uint32_t>("fileMode");
    device.uid = object.number_or<std::uint32_t>("uid", 0);
    device.gid = object.number_or<std::uint32_t>("gid", 0);
    return device;
}

Resources read_resources(JsonObject& object) {
    Resources resources;
    object.object("memory", [&](JsonObject& memory) {
        resources.memory.limit = memory.number<std::int64_t>("limit");
        resources.memory.reservation = memory.number<std::int64_t>("reservation");
        resources.memory.swap = memory.number<std::int64_t>("swap");
    });
    object.object("cpu", [&](JsonObject& cpu) {
        resources.cpu.shares = cpu.number<std::uint64_t>("shares");
        resources.cpu.quota = cpu.number<std::int64_t>("quota");
        resources.cpu.period = cpu.number<std::uint64_t>("period");
        resources.cpu.burst = cpu.number<std::uint64_t>("burst");
        resources.cpu.idle = cpu.number<std::int64_t>("idle");
        resources.cpu.cpus = cpu.text("cpus");
        resources.cpu.mems = cpu.text("mems");
    });
    object.object("pids", [&](JsonObject& pids) {
        resources.pids_limit = pids.number<std::int64_t>("limit");
    });
    resources.unified = object.text_map("unified");
    return resources;
}

Linux read_linux(JsonObject& object) {
    Linux result;
    object.objects("namespaces", [&](JsonObject& item) {
        result.namespaces.push_back({item.required_text("type"), item.text("path")});
    });
    result.uid_mappings = read_mappings(object, "uidMappings");
    result.gid_mappings = read_mappings(object, "gidMappings");
    object.objects("devices", [&](JsonObject& device) {
        result.devices.push_back(read_device(device));
    });
    result.sysctl = object.text_map("sysctl");
    result.masked_paths = object.texts("maskedPaths");
    result.readonly_paths = object.texts("readonlyPaths");
    for (const char* key : {"maskedPaths", "readonlyPaths"}) {
        const auto& paths = *key == 'm' ? result.masked_paths : result.readonly_paths;
        for (std::size_t i = 0; i < paths.size(); ++i) {
            if (!paths[i].starts_with('/')) {
                fail(object.at(key) + "[" + std::to_string(i) + "]", "must be an absolute path");
            }
        }
    }
    result.rootfs_propagation = object.text("rootfsPropagation");
    result.cgroups_path = object.text("cgroupsPath");
    object.object("resources", [&](JsonObject& item) { result.resources = read_resources(item); });
    return result;
}

Spec read_spec(JsonObject& object) {
    Spec spec;
    spec.oci_version = object.required_text("ociVersion");
    if (!spec.oci_version.starts_with("1.")) {
        fail("ociVersion", "must be 1.x, is '" + spec.oci_version.substr(0, 64) + "'");
    }
    if (!object.has("root")) {
        fail("root", "is missing");
    }
    object.object("root", [&](JsonObject& root) {
        spec.root.path = root.required_text("path");
        spec.root.readonly = root.boolean("readonly");
    });
    if (!object.has("process")) {
        fail("process", "is missing");
    }
    object.object("process", [&](JsonObject& process) { spec.process = read_process(process); });
    spec.hostname = object.text("hostname");
    spec.domainname = object.text("domainname");
    object.objects("mounts", [&](JsonObject& mount) { spec.mounts.push_back(read_mount(mount)); });
    spec.annotations = object.text_map("annotations");
    object.object("linux", [&](JsonObject& item) { spec.linux_part = read_linux(item); });
    return spec;
}

} // namespace

Parsed<Spec> parse_spec(std::string_view json) {
    const Json tree = parse_text(json, "config");
    Parsed<Spec> result;
    JsonObject object(tree, "", result.unused);
    result.value = read_spec(object);
    object.finish();
    return result;
}

Parsed<Process> parse_process(std::string_view json) {
    const Json tree = parse_text(json, "process");
    Parsed<Process> result;
    JsonObject object(tree, "process", result.unused);
    result.value = read_process(object);
    object.finish();
    return result;
}

} // namespace cppvm::oci
