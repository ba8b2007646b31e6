#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/pod/pod_spec_cri.hpp"
#include "proto/containerd/pod_sandbox_config.pb.h"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::pod {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Config = ::runtime::v1::PodSandboxConfig;
using Request = ::containerd::runtime::sandbox::v1::CreateSandboxRequest;

const HostNames host_names{"the-host", "nameserver 192.0.2.1\n"};

Request request_for(const Config& config) {
    Request request;
    request.set_sandbox_id("p1");
    request.set_netns_path("/var/run/netns/cni-1");
    request.mutable_options()->set_type_url("runtime.v1.PodSandboxConfig");
    request.mutable_options()->set_value(config.SerializeAsString());
    return request;
}

CriPod read(const Config& config) {
    return read_create_sandbox(request_for(config), host_names);
}

std::string error_of(const Request& request, Code code = Code::invalid_argument) {
    try {
        read_create_sandbox(request, host_names);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), code);
        return error.message();
    }
    return "";
}

TEST(PodSpecCriTest, TakesWhatTheSandboxIsMadeFrom) {
    Config config;
    config.set_hostname("web-1");
    (*config.mutable_annotations())["a"] = "1";
    (*config.mutable_linux()->mutable_sysctls())["net.core.somaxconn"] = "99";
    Request request = request_for(config);
    (*request.mutable_annotations())["b"] = "2";
    const CriPod pod = read_create_sandbox(request, host_names);
    EXPECT_EQ(pod.spec.sandbox_id, "p1");
    EXPECT_TRUE(pod.spec.awaits_create);
    EXPECT_FALSE(pod.spec.is_member);
    EXPECT_EQ(pod.spec.network.kind, network::NamespaceSpec::Kind::path);
    EXPECT_EQ(pod.spec.network.path, "/var/run/netns/cni-1");
    EXPECT_EQ(pod.spec.hostname, "web-1");
    EXPECT_EQ(pod.spec.sysctls.at("net.core.somaxconn"), "99");
    EXPECT_EQ(pod.spec.annotations, (std::map<std::string, std::string>{{"a", "1"}, {"b", "2"}}));
    EXPECT_THAT(pod.unsupported, IsEmpty());
}

TEST(PodSpecCriTest, HasTheLimitsThatTheKubeletSays) {
    Config config;
    EXPECT_EQ(read(config).spec.limits, Limits());
    auto& resources = *config.mutable_linux()->mutable_resources();
    resources.set_memory_limit_in_bytes(1 << 30);
    resources.set_cpu_quota(200'000);
    resources.set_cpu_period(100'000);
    config.mutable_linux()->mutable_overhead()->set_memory_limit_in_bytes(1);
    EXPECT_EQ(read(config).spec.limits, (Limits{1 << 30, 200'000, 100'000}));
    EXPECT_THAT(read(config).unsupported, IsEmpty());
    resources.set_cpu_period(-1);
    EXPECT_EQ(read(config).spec.limits.cpu_period_us, 0U);
}

TEST(PodSpecCriTest, HasTheHostsNetworkWithoutANamespace) {
    Request request = request_for({});
    request.clear_netns_path();
    EXPECT_EQ(
        read_create_sandbox(request, host_names).spec.network.kind,
        network::NamespaceSpec::Kind::host
    );
}

TEST(PodSpecCriTest, PlacesThePodsCgroupAsContainerdDoes) {
    Config config;
    EXPECT_EQ(read(config).spec.cgroups_path, "");
    config.mutable_linux()->set_cgroup_parent("/kubepods/burstable/pod1");
    EXPECT_EQ(read(config).spec.cgroups_path, "/kubepods/burstable/pod1/p1");
    config.mutable_linux()->set_cgroup_parent(
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice"
    );
    EXPECT_EQ(read(config).spec.cgroups_path, "kubepods-burstable-pod1.slice:cri-containerd:p1");
    config.mutable_linux()->set_cgroup_parent("kubepods.slice");
    EXPECT_EQ(read(config).spec.cgroups_path, "kubepods.slice:cri-containerd:p1");
}

TEST(PodSpecCriTest, MakesTheFilesThatContainerdDoesNot) {
    Config config;
    config.set_hostname("web-1");
    config.mutable_dns_config()->add_servers("10.96.0.10");
    config.mutable_dns_config()->add_servers("fd00::10");
    config.mutable_dns_config()->add_searches("a.svc");
    config.mutable_dns_config()->add_searches("svc");
    config.mutable_dns_config()->add_options("ndots:5");
    const PodFiles files = read(config).files;
    EXPECT_EQ(files.hostname, "web-1\n");
    EXPECT_THAT(files.hosts, HasSubstr("127.0.0.1\tlocalhost\n"));
    EXPECT_THAT(files.hosts, HasSubstr("::1\tlocalhost"));
    EXPECT_EQ(
        files.resolv_conf,
        "search a.svc svc\nnameserver 10.96.0.10\nnameserver fd00::10\noptions ndots:5\n"
    );
}

TEST(PodSpecCriTest, TakesTheHostsNamesForWhatIsNotSaid) {
    const CriPod pod = read({});
    EXPECT_EQ(pod.spec.hostname, "the-host");
    EXPECT_EQ(pod.files.hostname, "the-host\n");
    EXPECT_EQ(pod.files.resolv_conf, "nameserver 192.0.2.1\n");
}

TEST(PodSpecCriTest, NamesWhatHasNoEffect) {
    Request request = request_for(Config());
    request.add_rootfs();
    EXPECT_THAT(read_create_sandbox(request, host_names).unsupported, ElementsAre("rootfs"));
}

TEST(PodSpecCriTest, RefusesNamespacesOfTheHost) {
    Config config;
    auto& namespaces =
        *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
    namespaces.set_network(::runtime::v1::NODE);
    EXPECT_EQ(error_of(request_for(config)), "");
    namespaces.set_ipc(::runtime::v1::NODE);
    EXPECT_THAT(
        error_of(request_for(config), Code::unimplemented),
        StartsWith("hostIPC: the IPC namespace of the host does not reach into a VM")
    );
    namespaces.set_pid(::runtime::v1::NODE);
    EXPECT_THAT(
        error_of(request_for(config), Code::unimplemented),
        StartsWith("hostPID: the process namespace of the host does not reach into a VM")
    );
}

// `ctr sandboxes run` sends an OCI spec.
TEST(PodSpecCriTest, TakesOptionsThatAreNotCris) {
    Request request = request_for({});
    request.mutable_options()->set_type_url("types.containerd.io/opencontainers/runtime-spec/1/Spec"
    );
    request.mutable_options()->set_value("{}");
    EXPECT_THAT(read_create_sandbox(request, host_names).unsupported, ElementsAre("options"));
    request.clear_options();
    EXPECT_THAT(read_create_sandbox(request, host_names).unsupported, IsEmpty());
    request = request_for({});
    request.mutable_options()->set_type_url("type.googleapis.com/runtime.v1.PodSandboxConfig");
    EXPECT_THAT(read_create_sandbox(request, host_names).unsupported, IsEmpty());
}

TEST(PodSpecCriTest, RefusesWhatMakesNoSense) {
    Request request = request_for({});
    request.set_netns_path("run/netns/n1");
    EXPECT_EQ(error_of(request), "netns_path: 'run/netns/n1' is not absolute");
    request = request_for({});
    request.mutable_options()->set_value("\xff");
    EXPECT_EQ(error_of(request), "options: not decodable as runtime.v1.PodSandboxConfig");
    Config config;
    config.set_hostname(std::string(65, 'h'));
    EXPECT_THAT(error_of(request_for(config)), HasSubstr("hostname: must be one line"));
    config.set_hostname("a\nb");
    EXPECT_THAT(error_of(request_for(config)), HasSubstr("hostname: must be one line"));
    for (const char* word : {"", "10.0.0.1 10.0.0.2", "10.0.0.1\noptions"}) {
        config = Config();
        config.mutable_dns_config()->add_servers(word);
        EXPECT_THAT(error_of(request_for(config)), HasSubstr("dns_config.servers: '"));
    }
}

TEST(PodSpecCriTest, RefusesUserNamespacesThatNoContainerCanHave) {
    Config config;
    auto& options = *config.mutable_linux()
                         ->mutable_security_context()
                         ->mutable_namespace_options()
                         ->mutable_userns_options();
    for (const auto mode : {::runtime::v1::CONTAINER, ::runtime::v1::TARGET}) {
        options.set_mode(mode);
        EXPECT_THAT(error_of(request_for(config)), HasSubstr("userns_options.mode: must be POD"));
    }
    options.set_mode(::runtime::v1::NODE);
    EXPECT_EQ(error_of(request_for(config)), "");
    options.set_mode(::runtime::v1::POD);
    EXPECT_THAT(error_of(request_for(config)), HasSubstr("userns_options.uids: must be one range"));
    for (auto* mapping : {options.add_uids(), options.add_gids()}) {
        mapping->set_host_id(1000);
        mapping->set_length(65536);
    }
    EXPECT_EQ(error_of(request_for(config)), "");
    options.mutable_gids(0)->set_container_id(1);
    EXPECT_THAT(error_of(request_for(config)), HasSubstr("userns_options.gids: must be one range"));
    options.mutable_gids(0)->set_container_id(0);
    options.add_uids()->set_length(1);
    EXPECT_THAT(error_of(request_for(config)), HasSubstr("userns_options.uids: must be one range"));
}

TEST(PodFilesTest, AreWrittenForEverybodyToRead) {
    const testing::TempDir dir;
    const PodFiles files{"hosts\n", "name\n", "nameserver ::1\n"};
    const auto written = write_pod_files(files, dir.path() / "files");
    ASSERT_EQ(written.size(), 3U);
    EXPECT_EQ(written[0], (PodFile{dir.path() / "files/hosts", "/etc/hosts"}));
    EXPECT_EQ(written[1].destination, "/etc/hostname");
    EXPECT_EQ(written[2].destination, "/etc/resolv.conf");
    EXPECT_EQ(read_file(written[2].source, 100), "nameserver ::1\n");
    const auto mode = std::filesystem::status(written[0].source).permissions();
    EXPECT_EQ(mode, std::filesystem::perms(0644));
}

TEST(PodFilesTest, TellWhereTheyCannotBeWritten) {
    const testing::TempDir dir;
    EXPECT_THROW(write_pod_files({}, dir.path() / "missing/files"), Error);
}

} // namespace
} // namespace cppvm::pod
