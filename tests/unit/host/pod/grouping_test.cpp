#include "common/base/error.hpp"
#include "host/pod/grouping.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::shim {
namespace {

using ::testing::HasSubstr;

Grouping grouping_of(const std::string& config) {
    const testing::TempDir dir;
    dir.write("config.json", config);
    return read_grouping(dir.path(), "me");
}

std::string error_of(const std::string& config) {
    try {
        grouping_of(config);
    } catch (const Error& error) {
        return error.message();
    }
    return {};
}

TEST(GroupingTest, StandAloneContainerIsItsOwnSandbox) {
    EXPECT_EQ(grouping_of("{}"), (Grouping{"me", false, {}}));
    EXPECT_EQ(grouping_of(R"({"annotations": {}})"), (Grouping{"me", false, {}}));
    EXPECT_EQ(grouping_of(R"({"annotations": null})"), (Grouping{"me", false, {}}));
}

TEST(GroupingTest, BundleWithoutConfigIsItsOwnSandbox) {
    const testing::TempDir dir;
    EXPECT_EQ(read_grouping(dir.path(), "me"), (Grouping{"me", false, {}}));
}

TEST(GroupingTest, SandboxContainerIsItsOwnSandbox) {
    EXPECT_EQ(
        grouping_of(R"({"annotations": {"io.kubernetes.cri.container-type": "sandbox",
                                       "io.kubernetes.cri.sandbox-id": "me"}})"),
        (Grouping{"me", false, {}})
    );
}

TEST(GroupingTest, ContainerOfAPodBelongsToItsSandbox) {
    EXPECT_EQ(
        grouping_of(R"({"process": {"args": ["x"]}, "annotations": {
            "other": "value", "io.kubernetes.cri.sandbox-id": "pod1",
            "io.kubernetes.cri.container-type": "container"}, "root": {"path": "rootfs"}})"),
        (Grouping{"pod1", true, {}})
    );
}

TEST(GroupingTest, ExplicitGroupGoesFirst) {
    EXPECT_EQ(
        grouping_of(R"({"annotations": {"io.kubernetes.cri.sandbox-id": "pod1",
                                       "io.containerd.runc.v2.group": "g"}})"),
        (Grouping{"g", false, {}})
    );
    EXPECT_EQ(
        grouping_of(R"({"annotations": {"io.containerd.runc.v2.group": ""}})"),
        (Grouping{"me", false, {}})
    );
}

TEST(GroupingTest, TellsTheContainersCgroup) {
    EXPECT_EQ(
        grouping_of(R"({"cgroupsPath": "/no1", "linux": {"resources": {"cgroupsPath": "/no2"},
            "cgroupsPath": "/e2e/me", "maskedPaths": ["cgroupsPath", "/no3"]},
            "annotations": {"cgroupsPath": "/no4"}})"),
        (Grouping{"me", false, "/e2e/me"})
    );
    EXPECT_EQ(
        grouping_of(R"({"annotations": {"io.kubernetes.cri.sandbox-id": "pod1"},
            "linux": {"cgroupsPath": "kubepods-podx.slice:cri-containerd:me"}})"),
        (Grouping{"pod1", false, "kubepods-podx.slice:cri-containerd:me"})
    );
    EXPECT_EQ(grouping_of(R"({"linux": {"cgroupsPath": 5}})"), (Grouping{"me", false, {}}));
}

TEST(GroupingTest, LooksOnlyAtTheAnnotationsOfTheTopLevel) {
    EXPECT_EQ(
        grouping_of(R"({
            "io.kubernetes.cri.sandbox-id": "no1",
            "process": {"annotations": {"io.kubernetes.cri.sandbox-id": "no2"}},
            "x": [{"annotations": {"io.kubernetes.cri.sandbox-id": "no3"}}],
            "annotations": {"deep": {"io.kubernetes.cri.sandbox-id": "no4"},
                            "list": ["io.kubernetes.cri.sandbox-id", "no5"],
                            "io.kubernetes.cri.sandbox-id": 5},
            "after": {"io.kubernetes.cri.sandbox-id": "no6"}})"),
        (Grouping{"me", false, {}})
    );
}

TEST(GroupingTest, NamesFileAndPlaceOfBrokenJson) {
    EXPECT_THAT(error_of("{\"a\": x}"), HasSubstr("config.json: not valid JSON at byte 7"));
    EXPECT_THAT(error_of(""), HasSubstr("config.json: not valid JSON at byte 1"));
    EXPECT_THAT(error_of("{} {}"), HasSubstr("config.json: not valid JSON"));
    EXPECT_THAT(error_of("[1]"), HasSubstr("config.json: not a JSON object"));
    EXPECT_THAT(error_of("\"x\""), HasSubstr("config.json: not a JSON object"));
}

TEST(GroupingTest, ReadsDeeplyNestedInput) {
    EXPECT_THAT(error_of(std::string(1'000'000, '[')), HasSubstr("not valid JSON"));
}

TEST(GroupingTest, RefusesAHugeFile) {
    EXPECT_THAT(
        error_of(std::string(20UL * 1024 * 1024, ' ')),
        HasSubstr("config.json: larger than the limit of 16777216 bytes")
    );
}

TEST(GroupingTest, RefusesASandboxIdThatIsNone) {
    EXPECT_THAT(
        error_of(R"({"annotations": {"io.kubernetes.cri.sandbox-id": "../../etc"}})"),
        ::testing::AllOf(
            HasSubstr("annotation io.kubernetes.cri.sandbox-id in "), HasSubstr("\"../../etc\"")
        )
    );
}

} // namespace
} // namespace cppvm::shim
