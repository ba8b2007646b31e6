#include "common/base/error.hpp"
#include "common/oci/spec_json.hpp"
#include "common/os/namespace_type.hpp"
#include "host/pod/guest_spec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <linux/seccomp.h>

namespace cppvm::pod {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

json minimal() {
    return json::parse(R"({
        "ociVersion": "1.1.0",
        "process": {"args": ["sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "root": {"path": "rootfs"},
        "hostname": "h"
    })");
}

GuestSpec translate(const json& config) {
    return make_guest_spec(config.dump(), "/bundle");
}

Status failure_of(const json& config) {
    try {
        translate(config);
    } catch (const Error& error) {
        return {error.code(), error.message()};
    }
    return {};
}

TEST(GuestSpecTest, KeepsWhatIsTheGuests) {
    auto config = minimal();
    config["root"]["readonly"] = true;
    const GuestSpec guest = translate(config);
    EXPECT_EQ(guest.spec.hostname, "h");
    EXPECT_TRUE(guest.spec.root.readonly);
    EXPECT_EQ(guest.spec.process.args, std::vector<std::string>{"sh"});
    EXPECT_EQ(guest.storage.rootfs_source, "/bundle/rootfs");
    EXPECT_TRUE(guest.unsupported.empty());
}

TEST(GuestSpecTest, TellsTheGuestNoPathOfTheHost) {
    auto config = minimal();
    config["root"]["path"] = "/hostsecret/rootfs";
    config["annotations"]["io.kubernetes.cri.sandbox-log-directory"] = "/hostsecret/log";
    config["hooks"]["createRuntime"] = json::parse(R"([{"path": "/hostsecret/hook"}])");
    config["vm"]["kernel"]["path"] = "/hostsecret/kernel";
    config["mounts"] = json::parse(R"([
        {"destination": "/a", "type": "bind", "source": "/hostsecret/a", "options": ["rbind"]},
        {"destination": "/b", "type": "tmpfs", "source": "/hostsecret/b"}
    ])");
    config["linux"] = json::parse(R"({
        "cgroupsPath": "/hostsecret/cgroup",
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/hostsecret/socket"},
        "namespaces": [
            {"type": "network", "path": "/hostsecret/net"}, {"type": "ipc", "path": "/hostsecret/ipc"},
            {"type": "pid", "path": "/hostsecret/pid"}
        ]})");
    GuestSpec guest = translate(config);
    storage::set_sources(guest.spec, guest.storage, {.rootfs = "1", .volumes = {"2"}});
    EXPECT_THAT(oci::write_spec(guest.spec), Not(HasSubstr("hostsecret")));
    EXPECT_THAT(
        guest.unsupported,
        ElementsAre(
            "linux.seccomp.listenerPath",
            "vm",
            "linux.namespaces[1].path",
            "linux.namespaces[2].path"
        )
    );
    EXPECT_EQ(guest.hooks.create_runtime.at(0).path, "/hostsecret/hook");
    EXPECT_EQ(guest.annotations.at("io.kubernetes.cri.sandbox-log-directory"), "/hostsecret/log");
}

TEST(GuestSpecTest, CompilesTheSeccompProfile) {
    auto config = minimal();
    EXPECT_TRUE(translate(config).seccomp.instructions.empty());
    config["linux"]["seccomp"] = json::parse(R"({
        "defaultAction": "SCMP_ACT_ERRNO", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"}]})");
    const GuestSpec guest = translate(config);
    EXPECT_FALSE(guest.seccomp.instructions.empty());
    EXPECT_EQ(guest.seccomp.flags, unsigned{SECCOMP_FILTER_FLAG_LOG});
    EXPECT_FALSE(guest.spec.linux_part.seccomp);
}

TEST(GuestSpecTest, ReportsLimitsInNumbersOfTheHost) {
    auto config = minimal();
    config["linux"]["resources"] = json::parse(R"({
        "cpu": {"cpus": "1,3", "mems": "", "shares": 512},
        "unified": {"cpuset.cpus": "0", "io.max": "8:0 rbps=1", "hugetlb.1GB.max": "0", "memory.high": "1"}
    })");
    const GuestSpec guest = translate(config);
    EXPECT_THAT(
        guest.unsupported,
        ElementsAre(
            "linux.resources.cpu.cpus",
            "linux.resources.unified.cpuset.cpus",
            "linux.resources.unified.io.max"
        )
    );
    oci::Resources left;
    left.cpu.shares = 512;
    left.unified = {{"hugetlb.1GB.max", "0"}, {"memory.high", "1"}};
    EXPECT_EQ(guest.spec.linux_part.resources, left);
}

TEST(GuestSpecTest, SplitsNamespacesBetweenHostAndGuest) {
    auto config = minimal();
    config["linux"]["namespaces"] = json::parse(R"([
        {"type": "pid"}, {"type": "network"}, {"type": "mount"}, {"type": "uts", "path": "/proc/1/ns/uts"}
    ])");
    EXPECT_EQ(translate(config).network_path, "");
    EXPECT_EQ(
        translate(config).spec.linux_part.namespaces,
        (std::vector<oci::Namespace>{{"pid", ""}, {"mount", ""}})
    );
    config["linux"]["namespaces"][1]["path"] = "/var/run/netns/n1";
    EXPECT_EQ(translate(config).network_path, "/var/run/netns/n1");
}

TEST(GuestSpecTest, NamesTheContainersThatNamespacesAreSharedWith) {
    auto config = minimal();
    config["linux"]["namespaces"] = json::parse(R"([
        {"type": "mount"}, {"type": "pid", "path": "/proc/42/ns/pid"},
        {"type": "ipc", "path": "/proc/42/ns/ipc"}, {"type": "uts", "path": "/proc/43/ns/uts"},
        {"type": "cgroup", "path": "/run/42/ns/cgroup"}, {"type": "time", "path": "/proc/42/ns/time"}
    ])");
    const FindContainer find = [](pid_t pid) { return pid == 42 ? "sandbox" : ""; };
    const GuestSpec guest = make_guest_spec(config.dump(), "/bundle", {}, {.find_container = find});
    EXPECT_EQ(
        guest.spec.linux_part.namespaces,
        (std::vector<oci::Namespace>{
            {"mount", ""}, {"pid", "container:sandbox"}, {"ipc", "container:sandbox"}, {"time", ""}
        })
    );
    EXPECT_THAT(
        guest.unsupported,
        ElementsAre(
            "linux.namespaces[3].path", "linux.namespaces[4].path", "linux.namespaces[5].path"
        )
    );
}

TEST(GuestSpecTest, TakesTheSandboxsProcessForThePod) {
    auto config = minimal();
    config["linux"]["namespaces"] = json::parse(R"([
        {"type": "mount"}, {"type": "pid", "path": "/proc/42/ns/pid"},
        {"type": "ipc", "path": "/proc/42/ns/ipc"}, {"type": "uts", "path": "/proc/42/ns/uts"},
        {"type": "network", "path": "/proc/42/ns/net"}
    ])");
    config["mounts"] = json::parse(R"([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["size=1m"]}
    ])");
    const HostView host{.pod_stand_in = 42};
    const GuestSpec guest = make_guest_spec(config.dump(), "/bundle", {}, host);
    EXPECT_EQ(
        guest.spec.linux_part.namespaces,
        (std::vector<oci::Namespace>{{"mount", ""}, {"pid", "pod"}})
    );
    EXPECT_EQ(guest.network_path, "/proc/42/ns/net");
    EXPECT_THAT(guest.unsupported, ::testing::IsEmpty());
    ASSERT_EQ(guest.storage.mounts.size(), 2U);
    EXPECT_EQ(guest.storage.mounts[1].type, "bind");
    EXPECT_EQ(guest.storage.mounts[1].source, "/run/cppvm/share/shm");

    config["mounts"].erase(1);
    const GuestSpec without = make_guest_spec(config.dump(), "/bundle", {}, host);
    EXPECT_EQ(without.storage.mounts.back().destination, "/dev/shm");
    config["mounts"].push_back(
        {{"destination", "/dev/shm"}, {"type", "bind"}, {"source", "/tmp"}, {"options", {"bind"}}}
    );
    const GuestSpec own = make_guest_spec(config.dump(), "/bundle", {}, host);
    ASSERT_EQ(own.storage.mounts.size(), 2U);
    EXPECT_EQ(own.storage.volumes.at(0).source, "/tmp");
}

TEST(GuestSpecTest, AddsThePodsFilesWhereTheSpecHasNone) {
    auto config = minimal();
    config["mounts"] = json::parse(R"([
        {"destination": "/etc/hosts", "type": "bind", "source": "/kubelet/hosts", "options": ["bind"]}
    ])");
    const HostView host{
        .files = {{"/run/p/hosts", "/etc/hosts"}, {"/run/p/resolv.conf", "/etc/resolv.conf"}}
    };
    const GuestSpec guest = make_guest_spec(config.dump(), "/bundle", {}, host);
    ASSERT_EQ(guest.storage.volumes.size(), 2U);
    EXPECT_EQ(guest.storage.volumes[0].source, "/kubelet/hosts");
    EXPECT_EQ(guest.storage.volumes[1].source, "/run/p/resolv.conf");
    EXPECT_TRUE(guest.storage.volumes[1].read_only);
    EXPECT_EQ(guest.resolv_conf, "/run/p/resolv.conf");
}

TEST(GuestSpecTest, RefusesPathsThatAreNoNamespaceOfTheType) {
    auto config = minimal();
    config["linux"]["namespaces"] = {{{"type", "ipc"}, {"path", "/proc/self/ns/uts"}}};
    const auto translate_it = [&] {
        make_guest_spec(config.dump(), "/bundle", {}, {.namespace_type = namespace_type_at});
    };
    const auto message = [&]() -> std::string {
        try {
            translate_it();
        } catch (const Error& error) {
            return error.message();
        }
        return "";
    };
    EXPECT_THAT(message(), ::testing::HasSubstr("linux.namespaces[0].path: '/proc/self/ns/uts'"));
    config["linux"]["namespaces"][0]["path"] = "/nowhere";
    EXPECT_THAT(message(), ::testing::HasSubstr("linux.namespaces[0].path"));
    EXPECT_THAT(message(), ::testing::HasSubstr("/nowhere"));
    config["linux"]["namespaces"][0]["path"] = "/proc/self/ns/ipc";
    EXPECT_EQ(message(), "");
}

TEST(GuestSpecTest, LeavesOutMappingsWithoutAUserNamespace) {
    auto config = minimal();
    config["linux"]["uidMappings"] = {{{"containerID", 0}, {"hostID", 0}, {"size", 1}}};
    const GuestSpec guest = translate(config);
    EXPECT_TRUE(guest.spec.linux_part.uid_mappings.empty());
    EXPECT_THAT(guest.unsupported, ElementsAre("linux.uidMappings"));
}

TEST(GuestSpecTest, TakesNoPathForAProcessThatNamesNone) {
    auto config = minimal();
    const FindContainer find = [](pid_t) { return "other"; };
    for (const char* path :
         {"/proc/self/ns/ipc",
          "/proc/-42/ns/ipc",
          "/proc/42/root/proc/1/ns/ipc",
          "/proc/42",
          "/proc/42x/ns/ipc",
          "/proc//ns/ipc",
          "/proc/99999999999999999999/ns/ipc",
          "proc/42/ns/ipc"}) {
        config["linux"]["namespaces"] = {{{"type", "ipc"}, {"path", path}}};
        const GuestSpec guest =
            make_guest_spec(config.dump(), "/bundle", {}, {.find_container = find});
        EXPECT_TRUE(guest.spec.linux_part.namespaces.empty()) << path;
    }
}

TEST(GuestSpecTest, SplitsHooksBetweenHostAndGuest) {
    auto config = minimal();
    config["annotations"]["key"] = "value";
    for (const char* kind :
         {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"
         }) {
        config["hooks"][kind] = {{{"path", std::string("/") + kind}}};
    }
    const GuestSpec guest = translate(config);
    EXPECT_TRUE(has_guest_hooks(guest.spec));
    oci::Hooks of_the_guest;
    of_the_guest.create_container = {{"/createContainer", {}, {}, {}}};
    of_the_guest.start_container = {{"/startContainer", {}, {}, {}}};
    EXPECT_EQ(guest.spec.hooks, of_the_guest);
    EXPECT_EQ(guest.spec.annotations.at("key"), "value");
    EXPECT_EQ(guest.annotations.at("key"), "value");
    EXPECT_EQ(guest.hooks.poststop.at(0).path, "/poststop");
    EXPECT_TRUE(guest.hooks.create_container.empty());
    EXPECT_TRUE(guest.hooks.start_container.empty());
}

TEST(GuestSpecTest, RefusesPartsOfTheHost) {
    auto config = minimal();
    config["linux"]["intelRdt"] = {{"closID", "x"}};
    EXPECT_EQ(failure_of(config).code, Code::unimplemented);
    EXPECT_THAT(failure_of(config).message, ::testing::StartsWith("linux.intelRdt: "));
    config = minimal();
    config["linux"]["netDevices"]["eth7"] = {{"name", "eth0"}};
    EXPECT_EQ(failure_of(config).code, Code::unimplemented);
    EXPECT_THAT(failure_of(config).message, ::testing::StartsWith("linux.netDevices: "));
}

TEST(GuestSpecTest, NamesWhatHasNoEffectInAVm) {
    auto config = minimal();
    config["process"]["apparmorProfile"] = "p";
    config["process"]["selinuxLabel"] = "l";
    config["process"]["execCPUAffinity"] = {{"initial", "0"}, {"final", "1"}};
    config["linux"] = json::parse(R"({
        "mountLabel": "l", "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"},
        "resources": {
            "blockIO": {"weight": 100}, "rdma": {"mlx5_1": {"hcaHandles": 3}},
            "network": {"classID": 1},
            "memory": {"swappiness": 10, "kernel": 1, "kernelTCP": 1, "disableOOMKiller": true,
                       "useHierarchy": true},
            "cpu": {"realtimeRuntime": 1, "realtimePeriod": 2}
        }})");
    EXPECT_THAT(
        translate(config).unsupported,
        ::testing::UnorderedElementsAre(
            "process.apparmorProfile",
            "process.selinuxLabel",
            "process.execCPUAffinity",
            "linux.mountLabel",
            "linux.memoryPolicy",
            "linux.resources.blockIO",
            "linux.resources.rdma",
            "linux.resources.network",
            "linux.resources.memory.swappiness",
            "linux.resources.memory.kernel",
            "linux.resources.memory.kernelTCP",
            "linux.resources.memory.disableOOMKiller",
            "linux.resources.cpu.realtimeRuntime",
            "linux.resources.cpu.realtimePeriod"
        )
    );
}

TEST(GuestSpecTest, GivesAUserNamespaceOfItsOwnForASharedOne) {
    auto config = minimal();
    config["linux"] = json::parse(R"({
        "namespaces": [{"type": "mount"}, {"type": "user", "path": "/proc/1/ns/user"}],
        "uidMappings": [{"containerID": 0, "hostID": 65536, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 65536, "size": 65536}]})");
    const GuestSpec guest = translate(config);
    EXPECT_EQ(
        guest.spec.linux_part.namespaces, (std::vector<oci::Namespace>{{"mount", ""}, {"user", ""}})
    );
    EXPECT_EQ(guest.spec.linux_part.uid_mappings, (std::vector<oci::IdMapping>{{0, 65536, 65536}}));
    EXPECT_THAT(guest.unsupported, ElementsAre("linux.namespaces[1].path"));
}

TEST(GuestSpecTest, RefusesWhatItCannotTranslate) {
    auto config = minimal();
    config["mounts"] = json::parse(R"([{"destination": "/a", "type": "nfs", "source": "h:/"}])");
    EXPECT_EQ(failure_of(config).code, Code::unimplemented);
    EXPECT_EQ(failure_of(config).message.find("mounts[0].type: file systems of type 'nfs'"), 0U);

    config = minimal();
    config["linux"]["namespaces"] = json::parse(R"([{"type": "mount", "path": "/proc/1/ns/mnt"}])");
    EXPECT_EQ(failure_of(config).code, Code::unimplemented);

    config = minimal();
    config["ociVersion"] = "2.0.0";
    EXPECT_EQ(failure_of(config).code, Code::invalid_argument);
    EXPECT_NE(failure_of(config).message.find("2.0.0"), std::string::npos);
    config.erase("ociVersion");
    EXPECT_EQ(failure_of(config).code, Code::invalid_argument);

    config = minimal();
    config["linux"]["seccomp"]["defaultAction"] = "SCMP_ACT_GUESS";
    EXPECT_EQ(failure_of(config).code, Code::invalid_argument);
    EXPECT_NE(failure_of(config).message.find("linux.seccomp.defaultAction"), std::string::npos);

    config = minimal();
    config.erase("root");
    EXPECT_EQ(failure_of(config).code, Code::invalid_argument);
    EXPECT_EQ(failure_of(json::array()).code, Code::invalid_argument);
}

class LoadGuestSpecTest : public ::testing::Test {
  protected:
    LoadGuestSpecTest() { EXPECT_NE(::mkdtemp(bundle_.data()), nullptr); }
    ~LoadGuestSpecTest() override { std::filesystem::remove_all(bundle_); }

    Status load(const std::string& content) const {
        std::ofstream(bundle_ + "/config.json") << content;
        return load();
    }

    Status load() const {
        try {
            load_guest_spec(bundle_);
        } catch (const Error& error) {
            return {error.code(), error.message()};
        }
        return {};
    }

    std::string bundle_ = "/tmp/cppvm-guest-spec-test-XXXXXX";
};

TEST_F(LoadGuestSpecTest, NamesTheFileInEveryFailure) {
    const Status missing = load();
    EXPECT_EQ(missing.code, Code::failed_precondition);
    EXPECT_EQ(missing.message, "open " + bundle_ + "/config.json: No such file or directory");

    const Status garbage = load("no json");
    EXPECT_EQ(garbage.code, Code::invalid_argument);
    EXPECT_EQ(garbage.message.find("read " + bundle_ + "/config.json: "), 0U) << garbage.message;

    const Status large = load(std::string().append(20'000'000, ' '));
    EXPECT_EQ(large.code, Code::resource_exhausted);
    EXPECT_NE(large.message.find("config.json"), std::string::npos);

    const Status deep = load(std::string(1'000'000, '['));
    EXPECT_EQ(deep.code, Code::invalid_argument);

    EXPECT_EQ(load(minimal().dump()).code, Code::ok);
}

} // namespace
} // namespace cppvm::pod
