#include "common/base/error.hpp"
#include "host/pod/guest_spec.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace cppvm::sandbox {
namespace {

using nlohmann::json;

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

TEST(GuestSpecTest, PointsTheRootBelowTheShare) {
    auto config = minimal();
    config["root"]["readonly"] = true;
    const GuestSpec spec = translate(config);
    const json guest = json::parse(text_for(spec, {.rootfs = "7", .volumes = {}}));
    EXPECT_EQ(guest["root"]["path"], "/run/cppvm/share/roots/7");
    EXPECT_EQ(guest["root"]["readonly"], true);
    EXPECT_EQ(guest["hostname"], "h");
    EXPECT_EQ(spec.rootfs_source, "/bundle/rootfs");
    config["root"]["path"] = "/elsewhere";
    EXPECT_EQ(translate(config).rootfs_source, "/elsewhere");
}

TEST(GuestSpecTest, PutsBindMountsInTheirPlacesAndTellsTheHostWhatToBind) {
    auto config = minimal();
    config["mounts"] = json::parse(R"([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/a", "type": "bind", "source": "/host/a", "options": ["rbind", "ro", "rslave"]},
        {"destination": "/b", "source": "relative/b", "options": ["bind"]},
        {"destination": "/c", "type": "bind", "source": "/host/c", "options": null}
    ])");
    const GuestSpec spec = translate(config);
    const json mounts =
        json::parse(text_for(spec, {.rootfs = "1", .volumes = {"2", "3/file", "2"}}))["mounts"];
    EXPECT_EQ(mounts[0]["source"], "proc");
    EXPECT_EQ(mounts[1]["source"], "/run/cppvm/share/volumes/2");
    EXPECT_EQ(mounts[2]["source"], "/run/cppvm/share/volumes/3/file");
    EXPECT_EQ(mounts[3]["source"], "/run/cppvm/share/volumes/2");
    ASSERT_EQ(spec.volumes.size(), 3U);
    EXPECT_EQ(spec.volumes[0].source, "/host/a");
    EXPECT_TRUE(spec.volumes[0].recursive);
    EXPECT_TRUE(spec.volumes[0].read_only);
    EXPECT_FALSE(spec.volumes[0].recursive_read_only);
    EXPECT_TRUE(spec.volumes[0].propagate);
    EXPECT_EQ(spec.volumes[1].source, "/bundle/relative/b");
    EXPECT_FALSE(spec.volumes[1].recursive);
    EXPECT_FALSE(spec.volumes[1].read_only);
    EXPECT_FALSE(spec.volumes[1].propagate);
    EXPECT_EQ(spec.volumes[2].source, "/host/c");
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
    const GuestSpec spec = translate(config);
    EXPECT_EQ(spec.text.find("hostsecret"), std::string::npos) << spec.text;
    EXPECT_EQ(
        spec.unsupported,
        (std::vector<std::string>{
            "linux.namespaces[2].path", "linux.seccomp.listenerPath", "hooks", "vm"
        })
    );
    EXPECT_EQ(
        json::parse(spec.text)["linux"]["seccomp"],
        json::parse(R"({"defaultAction": "SCMP_ACT_ALLOW"})")
    );
}

TEST(GuestSpecTest, ReportsThatMountsOfTheGuestDoNotShowOnTheHost) {
    auto config = minimal();
    config["mounts"] = json::parse(
        R"([{"destination": "/a", "type": "bind", "source": "/x", "options": ["rbind", "rshared"]}])"
    );
    const GuestSpec spec = translate(config);
    EXPECT_TRUE(spec.volumes.at(0).propagate);
    EXPECT_EQ(spec.unsupported, std::vector<std::string>{"mounts[0].options[shared]"});
}

TEST(GuestSpecTest, NamesDevicesOfTheHostByNumber) {
    auto config = minimal();
    config["mounts"] = json::parse(
        R"([{"destination": "/etc/passwd", "type": "bind", "source": "/dev/null", "options": ["rbind", "ro"]}])"
    );
    const GuestSpec spec = translate(config);
    EXPECT_TRUE(spec.volumes.empty());
    EXPECT_EQ(
        json::parse(spec.text)["mounts"][0],
        json::parse(
            R"({"destination": "/etc/passwd", "type": "cppvm-device", "source": "1:3", "options": ["ro"]})"
        )
    );
}

TEST(GuestSpecTest, ReportsLimitsInNumbersOfTheHost) {
    auto config = minimal();
    config["linux"]["resources"] = json::parse(R"({
        "cpu": {"cpus": "1,3", "mems": "", "shares": 512},
        "unified": {"cpuset.cpus": "0", "io.max": "8:0 rbps=1", "hugetlb.1GB.max": "0", "memory.high": "1"}
    })");
    const GuestSpec spec = translate(config);
    EXPECT_EQ(
        spec.unsupported,
        (std::vector<std::string>{
            "linux.resources.cpu.cpus",
            "linux.resources.unified.cpuset.cpus",
            "linux.resources.unified.hugetlb.1GB.max",
            "linux.resources.unified.io.max"
        })
    );
    EXPECT_EQ(
        json::parse(spec.text)["linux"]["resources"],
        json::parse(R"({"cpu": {"shares": 512}, "unified": {"memory.high": "1"}})")
    );
}

TEST(GuestSpecTest, BoundsTheNumberOfVolumes) {
    auto config = minimal();
    const auto mount = json::parse(R"({"destination": "/a", "type": "bind", "source": "/x"})");
    config["mounts"] = json::array();
    for (int i = 0; i < 1024; ++i) {
        config["mounts"].push_back(mount);
    }
    EXPECT_EQ(translate(config).volumes.size(), 1024U);
    config["mounts"].push_back(mount);
    EXPECT_EQ(failure_of(config).message, "mounts[1024]: more than 1024 bind mounts");
}

TEST(GuestSpecTest, SplitsNamespacesBetweenHostAndGuest) {
    auto config = minimal();
    config["linux"]["namespaces"] = json::parse(R"([
        {"type": "pid"}, {"type": "network"}, {"type": "mount"}, {"type": "uts", "path": "/proc/1/ns/uts"}
    ])");
    GuestSpec spec = translate(config);
    EXPECT_EQ(spec.network_path, "");
    EXPECT_EQ(
        json::parse(spec.text)["linux"]["namespaces"],
        json::parse(R"([{"type": "pid"}, {"type": "mount"}])")
    );
    config["linux"]["namespaces"][1]["path"] = "/var/run/netns/n1";
    spec = translate(config);
    EXPECT_EQ(spec.network_path, "/var/run/netns/n1");
}

TEST(GuestSpecTest, RefusesWhatItCannotTranslate) {
    auto config = minimal();
    config["mounts"] = json::parse(R"([{"destination": "/a", "type": "nfs", "source": "h:/"}])");
    EXPECT_EQ(failure_of(config).code, Code::unimplemented);
    EXPECT_EQ(failure_of(config).message.find("mounts[0].type: file systems of type 'nfs'"), 0U);

    config = minimal();
    config["mounts"] = json::parse(R"([{"destination": "/a", "type": "bind"}])");
    EXPECT_EQ(failure_of(config).message, "mounts[0].source: must not be empty");

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
} // namespace cppvm::sandbox
