#include "host/pod/pod_spec_cri.hpp"

#include "common/base/error.hpp"
#include "common/base/type_of_url.hpp"
#include "proto/containerd/pod_sandbox_config.pb.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace cppvm::pod {

namespace {

using ::containerd::runtime::sandbox::v1::CreateSandboxRequest;
using ::runtime::v1::NamespaceMode;
using ::runtime::v1::PodSandboxConfig;

constexpr std::string_view config_type = "runtime.v1.PodSandboxConfig";
constexpr std::size_t max_hostname_bytes = 64; // sethostname(2)

// Others, such as the OCI spec of `ctr sandboxes`, say nothing of a pod.
bool is_cri(const google::protobuf::Any& options) {
    return type_of_url(options.type_url()) == config_type;
}

PodSandboxConfig parse_config(const CreateSandboxRequest& request) {
    PodSandboxConfig config;
    if (is_cri(request.options()) && !config.ParseFromString(request.options().value())) {
        throw Error(
            Code::invalid_argument, "options: not decodable as " + request.options().type_url()
        );
    }
    return config;
}

network::NamespaceSpec read_network(const std::string& path) {
    using Kind = network::NamespaceSpec::Kind;
    if (path.empty()) {
        return {Kind::host, {}};
    }
    if (path.front() != '/') {
        throw Error(
            Code::invalid_argument, "netns_path: '" + path.substr(0, 256) + "' is not absolute"
        );
    }
    return {Kind::path, path};
}

// The form that containerd gives linux.cgroupsPath of a pod's containers: the one where systemd
// makes the cgroups if the parent is one of its slices.
std::string read_cgroups_path(const std::string& parent, const std::string& sandbox_id) {
    if (parent.empty()) {
        return "";
    }
    const std::filesystem::path path(parent);
    if (path.extension() == ".slice") {
        return path.filename().native() + ":cri-containerd:" + sandbox_id;
    }
    return path / sandbox_id;
}

// What the machine needs besides, its overhead, is in the limits of the pod's cgroup.
Limits read_limits(const ::runtime::v1::LinuxContainerResources& resources) {
    return {
        resources.memory_limit_in_bytes(),
        resources.cpu_quota(),
        static_cast<std::uint64_t>(std::max<std::int64_t>(resources.cpu_period(), 0))
    };
}

std::string read_hostname(const PodSandboxConfig& config, const HostNames& host) {
    if (config.hostname().size() > max_hostname_bytes ||
        config.hostname().find_first_of(std::string_view("\0\n", 2)) != std::string::npos) {
        throw Error(
            Code::invalid_argument,
            "hostname: must be one line of at most " + std::to_string(max_hostname_bytes) + " bytes"
        );
    }
    return config.hostname().empty() ? host.hostname : config.hostname();
}

std::string read_resolv_conf(const PodSandboxConfig& config, const HostNames& host) {
    const auto& dns = config.dns_config();
    std::string text = make_resolv_conf(
        {dns.servers().begin(), dns.servers().end()},
        {dns.searches().begin(), dns.searches().end()},
        {dns.options().begin(), dns.options().end()}
    );
    return text.empty() ? host.resolv_conf : text;
}

void check_mapping(
    const char* field, const google::protobuf::RepeatedPtrField<::runtime::v1::IDMapping>& mapping
) {
    if (mapping.size() != 1 || mapping[0].container_id() != 0 || mapping[0].length() == 0) {
        throw Error(
            Code::invalid_argument,
            std::string("linux.security_context.namespace_options.userns_options.") + field +
                ": must be one range that begins with the container's id 0"
        );
    }
}

// The containers' specs have the mapping; that it makes sense for a pod containerd checks only
// where there is a pause container.
void check_user_namespace(const PodSandboxConfig& config) {
    const auto& namespaces = config.linux().security_context().namespace_options();
    const auto& options = namespaces.userns_options();
    if (!namespaces.has_userns_options() || options.mode() == NamespaceMode::NODE) {
        return;
    }
    if (options.mode() != NamespaceMode::POD) {
        throw Error(
            Code::invalid_argument,
            "linux.security_context.namespace_options.userns_options.mode: must be POD or NODE"
        );
    }
    check_mapping("uids", options.uids());
    check_mapping("gids", options.gids());
}

using Words = std::map<std::string, std::string>;

void add(Words& words, const google::protobuf::Map<std::string, std::string>& more) {
    for (const auto& [key, value] : more) {
        words[key] = value;
    }
}

std::vector<std::string> find_unsupported(const CreateSandboxRequest& request) {
    std::vector<std::string> found;
    if (request.rootfs_size() > 0) {
        found.emplace_back("rootfs");
    }
    if (!request.options().type_url().empty() && !is_cri(request.options())) {
        found.emplace_back("options");
    }
    return found;
}

} // namespace

CriPod read_create_sandbox(const CreateSandboxRequest& request, const HostNames& host) {
    const PodSandboxConfig config = parse_config(request);
    const auto& namespaces = config.linux().security_context().namespace_options();
    refuse_namespaces_of_host(
        namespaces.pid() == NamespaceMode::NODE, namespaces.ipc() == NamespaceMode::NODE
    );
    check_user_namespace(config);
    CriPod pod;
    pod.spec.sandbox_id = request.sandbox_id();
    pod.spec.awaits_create = true;
    pod.spec.network = read_network(request.netns_path());
    pod.spec.cgroups_path = read_cgroups_path(config.linux().cgroup_parent(), pod.spec.sandbox_id);
    pod.spec.limits = read_limits(config.linux().resources());
    pod.spec.hostname = read_hostname(config, host);
    add(pod.spec.sysctls, config.linux().sysctls());
    add(pod.spec.annotations, config.annotations());
    add(pod.spec.annotations, request.annotations());
    pod.files.hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    pod.files.hostname = pod.spec.hostname + "\n";
    pod.files.resolv_conf = read_resolv_conf(config, host);
    pod.unsupported = find_unsupported(request);
    return pod;
}

} // namespace cppvm::pod
