#include "common/base/build_id.hpp"
#include "host/shim/info.hpp"
#include "proto/containerd/types.pb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace cppvm::shim {
namespace {

using ::testing::Contains;
using ::testing::IsSupersetOf;
using ::testing::Not;

TEST(RuntimeInfoTest, NamesRuntimeAndVersion) {
    containerd::types::RuntimeInfo info;
    ASSERT_TRUE(info.ParseFromString(runtime_info()));
    EXPECT_EQ(info.name(), "io.containerd.cppvm.v1");
    EXPECT_EQ(info.version().version(), version());
    EXPECT_EQ(info.version().revision(), build_id());
    EXPECT_FALSE(info.has_options());
    ASSERT_EQ(info.annotations_size(), 1);
    EXPECT_EQ(
        info.annotations().at("containerd.io/runtime-allow-mounts"), "mkdir/*,format/*,erofs"
    );
}

TEST(RuntimeInfoTest, PromisesOnlyWhatIsKept) {
    containerd::types::RuntimeInfo info;
    ASSERT_TRUE(info.ParseFromString(runtime_info()));
    EXPECT_EQ(
        info.features().type_url(),
        "types.containerd.io/opencontainers/runtime-spec/1/features/Features"
    );
    const auto features = nlohmann::json::parse(info.features().value());
    EXPECT_EQ(features["ociVersionMin"], "1.0.0");
    const auto options = features["mountOptions"].get<std::vector<std::string>>();
    EXPECT_THAT(options, Contains("rbind"));
    for (const char* recursive : {"rro", "rnoexec", "rsymfollow"}) {
        EXPECT_THAT(options, Contains(recursive));
    }
    EXPECT_THAT(options, Not(Contains("rsync"))); // of a file system, which a bind mount has not
    EXPECT_THAT(options, IsSupersetOf({"idmap", "ridmap"}));
    const auto& linux_features = features["linux"];
    EXPECT_EQ(linux_features["cgroup"]["v2"], true);
    EXPECT_EQ(linux_features["cgroup"]["v1"], false);
    EXPECT_EQ(linux_features["seccomp"]["enabled"], true);
    const auto actions = linux_features["seccomp"]["actions"].get<std::vector<std::string>>();
    EXPECT_THAT(actions, Contains("SCMP_ACT_ERRNO"));
    EXPECT_THAT(actions, Not(Contains("SCMP_ACT_NOTIFY")));
    EXPECT_EQ(linux_features["mountExtensions"]["idmap"]["enabled"], true);
    const auto namespaces = linux_features["namespaces"].get<std::vector<std::string>>();
    EXPECT_THAT(namespaces, Contains("pid"));
    EXPECT_THAT(namespaces, Contains("time"));
    const auto hooks = features["hooks"].get<std::vector<std::string>>();
    EXPECT_THAT(hooks, Contains("startContainer"));
    EXPECT_EQ(features["ociVersionMax"], "1.3.0");
    EXPECT_EQ(linux_features["netDevices"]["enabled"], false);
    EXPECT_TRUE(linux_features["memoryPolicy"]["modes"].empty());
}

} // namespace
} // namespace cppvm::shim
