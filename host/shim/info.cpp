#include "host/shim/info.hpp"

#include "common/base/build_id.hpp"
#include "common/oci/names.hpp"
#include "common/oci/seccomp_names.hpp"
#include "proto/containerd/types.pb.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace cppvm::shim {

namespace {

constexpr const char* features_type =
    "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

// What containerd 2.1 and later leave in Create's mounts as its snapshotters say it, where they
// else mount it on the host (its docs/mounts.md). File systems are made by containerd all the same
// ("mkfs/…").
constexpr const char* allowed_mounts_key = "containerd.io/runtime-allow-mounts";
constexpr const char* allowed_mounts = "mkdir/*,format/*,erofs";

template <class Words>
void add_names(std::vector<std::string>& list, const Words& words) {
    for (const auto& word : words) {
        list.emplace_back(word.name);
    }
}

/// "rro" and its like: what can be said of a mount can be said of all below it.
void add_recursive_names(std::vector<std::string>& list) {
    for (const auto& word : oci::mount_words()) {
        if (word.has_attributes()) {
            list.push_back("r" + std::string(word.name));
        }
    }
}

std::vector<std::string> mount_options() {
    std::vector<std::string> list = {"bind", "idmap", "rbind", "ridmap", "tmpcopyup"};
    add_names(list, oci::mount_words());
    add_recursive_names(list);
    add_names(list, oci::propagation_words());
    std::ranges::sort(list);
    return list;
}

template <class Words>
std::vector<std::string> names_of(const Words& words) {
    std::vector<std::string> list;
    add_names(list, words);
    return list;
}

nlohmann::json seccomp() {
    const auto flags = names_of(oci::seccomp_flags());
    return {
        {"enabled", true},
        {"actions", names_of(oci::seccomp_actions())},
        {"operators", names_of(oci::seccomp_operators())},
        {"archs", names_of(oci::seccomp_architectures())},
        {"knownFlags", flags},
        {"supportedFlags", flags},
    };
}

// The document of the OCI runtime specification's features.md: what the guest's agent does. Off on
// purpose: AppArmor, SELinux, Intel RDT, network devices, memory policies.
std::string features() {
    const nlohmann::json off = {{"enabled", false}};
    const nlohmann::json none = nlohmann::json::array();
    return nlohmann::json{
        {"ociVersionMin", "1.0.0"},
        {"ociVersionMax", "1.3.0"},
        {"hooks",
         {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}
        },
        {"mountOptions", mount_options()},
        {"linux",
         {{"namespaces", names_of(oci::namespace_words())},
          {"capabilities", oci::capability_names()},
          {"cgroup",
           {{"v1", false}, {"v2", true}, {"systemd", false}, {"systemdUser", false}, {"rdma", false}
           }},
          {"seccomp", seccomp()},
          {"apparmor", off},
          {"selinux", off},
          {"intelRdt", off},
          {"netDevices", off},
          {"memoryPolicy", {{"modes", none}, {"flags", none}}},
          {"mountExtensions", {{"idmap", {{"enabled", true}}}}}}},
    }
        .dump();
}

} // namespace

std::string runtime_info() {
    containerd::types::RuntimeInfo info;
    info.set_name("io.containerd.cppvm.v1");
    info.mutable_version()->set_version(std::string(version()));
    info.mutable_version()->set_revision(std::string(build_id()));
    info.mutable_features()->set_type_url(features_type);
    info.mutable_features()->set_value(features());
    (*info.mutable_annotations())[allowed_mounts_key] = allowed_mounts;
    return info.SerializeAsString();
}

} // namespace cppvm::shim
