#include "common/base/error.hpp"
#include "host/pod/pod_spec.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::pod {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

PodSpec pod_of(const std::string& config) {
    const testing::TempDir dir;
    dir.write("config.json", config);
    return read_pod_spec(dir.path(), "me");
}

/// What says to which sandbox a container belongs.
struct Group {
    std::string sandbox_id;
    bool is_member = false;
    std::string cgroups_path = {};
};

bool operator==(const PodSpec& pod, const Group& group) {
    return pod.sandbox_id == group.sandbox_id && pod.is_member == group.is_member &&
           pod.cgroups_path == group.cgroups_path;
}

std::string error_of(const std::string& config) {
    try {
        pod_of(config);
    } catch (const Error& error) {
        return error.message();
    }
    return {};
}

TEST(PodSpecTest, StandAloneContainerIsItsOwnSandbox) {
    EXPECT_EQ(pod_of("{}"), (Group{"me", false}));
    EXPECT_EQ(pod_of(R"({"annotations": {}})"), (Group{"me", false}));
    EXPECT_EQ(pod_of(R"({"annotations": null})"), (Group{"me", false}));
}

TEST(PodSpecTest, BundleWithoutConfigIsItsOwnSandbox) {
    const testing::TempDir dir;
    EXPECT_EQ(read_pod_spec(dir.path(), "me"), (Group{"me", false}));
}

TEST(PodSpecTest, BundleWithoutAContainerAwaitsItsCreation) {
    const testing::TempDir dir;
    EXPECT_TRUE(read_pod_spec(dir.path(), "me").awaits_create);
    const auto awaits = [](const char* config) {
        return parse_pod_spec(config, "config.json", "me").awaits_create;
    };
    EXPECT_TRUE(awaits(R"({"ociVersion": "1.0.2", "annotations": {"process": "x"}})"));
    EXPECT_FALSE(awaits(R"({"process": {"args": ["true"]}})"));
    // One that CRI puts into a pod has no daemon of its own.
    EXPECT_FALSE(awaits(R"({"annotations": {"io.kubernetes.cri.container-type": "container",
                                            "io.kubernetes.cri.sandbox-id": "pod"}})"));
}

TEST(PodSpecTest, SandboxContainerIsItsOwnSandbox) {
    EXPECT_EQ(
        pod_of(R"({"annotations": {"io.kubernetes.cri.container-type": "sandbox",
                                       "io.kubernetes.cri.sandbox-id": "me"},
                   "linux": {"namespaces": [{"type": "ipc"}, {"type": "pid"}]}})"),
        (Group{"me", false})
    );
}

TEST(PodSpecTest, SandboxContainerWithoutItsOwnNamespacesIsRefused) {
    const auto refusal = [](const std::string& namespaces) {
        const std::string config =
            R"({"annotations": {"io.kubernetes.cri.container-type": "sandbox",
                                "io.kubernetes.cri.sandbox-id": "me"},
                "linux": {"namespaces": [)" +
            namespaces + "]}}";
        return error_of(config);
    };
    EXPECT_THAT(
        refusal(R"({"type": "ipc"}, {"type": "network"})"),
        StartsWith("hostPID: the process namespace of the host does not reach into a VM")
    );
    EXPECT_THAT(
        refusal(R"({"type": "uts"}, {"type": "pid"})"),
        StartsWith("hostIPC: the IPC namespace of the host does not reach into a VM")
    );
}

TEST(PodSpecTest, ContainerOfAPodBelongsToItsSandbox) {
    EXPECT_EQ(
        pod_of(R"({"process": {"args": ["x"]}, "annotations": {
            "other": "value", "io.kubernetes.cri.sandbox-id": "pod1",
            "io.kubernetes.cri.container-type": "container"}, "root": {"path": "rootfs"}})"),
        (Group{"pod1", true})
    );
}

TEST(PodSpecTest, ExplicitGroupGoesFirst) {
    EXPECT_EQ(
        pod_of(R"({"annotations": {"io.kubernetes.cri.sandbox-id": "pod1",
                                       "io.containerd.runc.v2.group": "g"}})"),
        (Group{"g", false})
    );
    EXPECT_EQ(
        pod_of(R"({"annotations": {"io.containerd.runc.v2.group": ""}})"), (Group{"me", false})
    );
}

TEST(PodSpecTest, TellsTheContainersCgroup) {
    EXPECT_EQ(
        pod_of(R"({"cgroupsPath": "/no1", "linux": {"resources": {"cgroupsPath": "/no2"},
            "cgroupsPath": "/e2e/me", "maskedPaths": ["cgroupsPath", "/no3"]},
            "annotations": {"cgroupsPath": "/no4"}})"),
        (Group{"me", false, "/e2e/me"})
    );
    EXPECT_EQ(
        pod_of(R"({"annotations": {"io.kubernetes.cri.sandbox-id": "pod1"},
            "linux": {"cgroupsPath": "kubepods-podx.slice:cri-containerd:me"}})"),
        (Group{"pod1", false, "kubepods-podx.slice:cri-containerd:me"})
    );
    EXPECT_EQ(pod_of(R"({"linux": {"cgroupsPath": 5}})"), (Group{"me", false}));
}

TEST(PodSpecTest, TellsWhatThePodIs) {
    const PodSpec pod = pod_of(R"({"hostname": "web", "process": {"hostname": "no"},
        "annotations": {"a": "1", "b": "2"},
        "linux": {"sysctl": {"net.ipv4.ip_forward": "1"}, "namespaces": [
            {"type": "pid", "path": "/no"}, {"path": "/run/netns/n1", "type": "network"},
            {"type": "ipc"}]}})");
    EXPECT_EQ(pod.hostname, "web");
    EXPECT_EQ(pod.annotations, (std::map<std::string, std::string>{{"a", "1"}, {"b", "2"}}));
    EXPECT_EQ(pod.sysctls, (std::map<std::string, std::string>{{"net.ipv4.ip_forward", "1"}}));
    EXPECT_EQ(
        pod.network, (network::NamespaceSpec{network::NamespaceSpec::Kind::path, "/run/netns/n1"})
    );
}

TEST(PodSpecTest, TellsANewNetworkNamespaceFromNone) {
    using Kind = network::NamespaceSpec::Kind;
    EXPECT_EQ(pod_of("{}").network.kind, Kind::host);
    EXPECT_EQ(pod_of(R"({"linux": {"namespaces": [{"type": "pid"}]}})").network.kind, Kind::host);
    EXPECT_EQ(
        pod_of(R"({"linux": {"namespaces": [{"type": "network"}]}})").network.kind, Kind::fresh
    );
    EXPECT_EQ(
        pod_of(R"({"x": {"namespaces": [{"type": "network"}]},
                   "linux": {"namespaces": {"type": "network"}, "x": [[{"type": "network"}]]}})")
            .network.kind,
        Kind::host
    );
}

TEST(PodSpecTest, LooksOnlyAtTheAnnotationsOfTheTopLevel) {
    EXPECT_EQ(
        pod_of(R"({
            "io.kubernetes.cri.sandbox-id": "no1",
            "process": {"annotations": {"io.kubernetes.cri.sandbox-id": "no2"}},
            "x": [{"annotations": {"io.kubernetes.cri.sandbox-id": "no3"}}],
            "annotations": {"deep": {"io.kubernetes.cri.sandbox-id": "no4"},
                            "list": ["io.kubernetes.cri.sandbox-id", "no5"],
                            "io.kubernetes.cri.sandbox-id": 5},
            "after": {"io.kubernetes.cri.sandbox-id": "no6"}})"),
        (Group{"me", false})
    );
}

TEST(PodSpecTest, TellsTheLimitsOfAStandAloneContainer) {
    const std::string resources =
        R"("linux": {"resources": {"memory": {"limit": 1048576, "swap": 5},
            "cpu": {"quota": 150000, "period": 50000, "shares": 9}, "pids": {"limit": 7}}})";
    EXPECT_EQ(pod_of("{" + resources + "}").limits, (Limits{1048576, 150000, 50000}));
    EXPECT_EQ(pod_of(R"({"limit": 5, "linux": {"resources": null}})").limits, Limits());
    EXPECT_EQ(
        pod_of(R"({"linux": {"resources": {"memory": {"limit": -1}, "cpu": {"quota": -1}}}})")
            .limits,
        (Limits{-1, -1, 0})
    );
    EXPECT_EQ(
        pod_of(R"({"linux": {"resources": {"memory": {"limit": 18446744073709551615}}}})")
            .limits.memory_bytes,
        INT64_MAX
    );
}

TEST(PodSpecTest, TellsThePodsLimitsInsteadOfItsFirstContainers) {
    const std::string own =
        R"("linux": {"resources": {"memory": {"limit": 5}, "cpu": {"quota": 6}},
                     "namespaces": [{"type": "ipc"}, {"type": "pid"}]})";
    const auto with = [&](const std::string& annotations) {
        return pod_of(
                   R"({"annotations": {"io.kubernetes.cri.sandbox-id": "me", )" + annotations +
                   "}, " + own + "}"
        )
            .limits;
    };
    EXPECT_EQ(with(R"("io.kubernetes.cri.container-type": "sandbox")"), Limits());
    EXPECT_EQ(
        with(R"("io.kubernetes.cri.sandbox-memory": "268435456",
                "io.kubernetes.cri.sandbox-cpu-quota": "200000",
                "io.kubernetes.cri.sandbox-cpu-period": "100000")"),
        (Limits{268435456, 200000, 100000})
    );
    EXPECT_EQ(
        with(R"("io.kubernetes.cri.sandbox-memory": "1Gi",
                "io.kubernetes.cri.sandbox-cpu-quota": "-1",
                "io.kubernetes.cri.sandbox-cpu-period": "99999999999999999999")"),
        (Limits{0, -1, 0})
    );
}

TEST(PodSpecTest, NamesFileAndPlaceOfBrokenJson) {
    EXPECT_THAT(error_of("{\"a\": x}"), HasSubstr("config.json: not valid JSON at byte 7"));
    EXPECT_THAT(error_of(""), HasSubstr("config.json: not valid JSON at byte 1"));
    EXPECT_THAT(error_of("{} {}"), HasSubstr("config.json: not valid JSON"));
    EXPECT_THAT(error_of("[1]"), HasSubstr("config.json: not a JSON object"));
    EXPECT_THAT(error_of("\"x\""), HasSubstr("config.json: not a JSON object"));
}

TEST(PodSpecTest, ReadsDeeplyNestedInput) {
    EXPECT_THAT(error_of(std::string(1'000'000, '[')), HasSubstr("not valid JSON"));
}

TEST(PodSpecTest, RefusesAHugeFile) {
    EXPECT_THAT(
        error_of(std::string(20UL * 1024 * 1024, ' ')),
        HasSubstr("config.json: larger than the limit of 16777216 bytes")
    );
}

TEST(PodSpecTest, RefusesASandboxIdThatIsNone) {
    EXPECT_THAT(
        error_of(R"({"annotations": {"io.kubernetes.cri.sandbox-id": "../../etc"}})"),
        ::testing::AllOf(
            HasSubstr("annotation io.kubernetes.cri.sandbox-id in "), HasSubstr("\"../../etc\"")
        )
    );
}

} // namespace
} // namespace cppvm::pod
