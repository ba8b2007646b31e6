#include "host/pod/pod_spec_json.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace cppvm::pod {

namespace {

using Kind = network::NamespaceSpec::Kind;

constexpr std::pair<Kind, const char*> kinds[] = {
    {Kind::host, "host"},
    {Kind::fresh, "fresh"},
    {Kind::path, "path"},
};

const char* name_of(Kind kind) {
    for (const auto& [value, name] : kinds) {
        if (value == kind) {
            return name;
        }
    }
    return "host";
}

Kind kind_of(const std::string& name) {
    for (const auto& [value, known] : kinds) {
        if (name == known) {
            return value;
        }
    }
    throw nlohmann::json::other_error::create(501, "unknown kind of network " + name, nullptr);
}

} // namespace

void to_json(nlohmann::json& json, const PodSpec& spec) {
    json = {
        {"sandbox_id", spec.sandbox_id},
        {"is_member", spec.is_member},
        {"awaits_create", spec.awaits_create},
        {"cgroups_path", spec.cgroups_path},
        {"network", name_of(spec.network.kind)},
        {"network_path", spec.network.path.native()},
        {"memory_bytes", spec.limits.memory_bytes},
        {"cpu_quota_us", spec.limits.cpu_quota_us},
        {"cpu_period_us", spec.limits.cpu_period_us},
        {"hostname", spec.hostname},
        {"sysctls", spec.sysctls},
        {"annotations", spec.annotations},
    };
}

void from_json(const nlohmann::json& json, PodSpec& spec) {
    json.at("sandbox_id").get_to(spec.sandbox_id);
    json.at("is_member").get_to(spec.is_member);
    json.at("awaits_create").get_to(spec.awaits_create);
    json.at("cgroups_path").get_to(spec.cgroups_path);
    spec.network.kind = kind_of(json.at("network").get<std::string>());
    spec.network.path = json.at("network_path").get<std::string>();
    json.at("memory_bytes").get_to(spec.limits.memory_bytes);
    json.at("cpu_quota_us").get_to(spec.limits.cpu_quota_us);
    json.at("cpu_period_us").get_to(spec.limits.cpu_period_us);
    json.at("hostname").get_to(spec.hostname);
    json.at("sysctls").get_to(spec.sysctls);
    json.at("annotations").get_to(spec.annotations);
}

} // namespace cppvm::pod
