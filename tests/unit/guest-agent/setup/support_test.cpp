#include "common/base/error.hpp"
#include "guest-agent/setup/support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::guest {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

oci::Spec make_spec() {
    oci::Spec spec;
    spec.linux_part.namespaces = {{"mount", ""}};
    return spec;
}

TEST(ReviewTest, HasNothingToSayAboutAPlainSpec) {
    EXPECT_THAT(review(make_spec()), IsEmpty());
}

TEST(ReviewTest, ReportsOptionsThatNobodyTakes) {
    oci::Spec spec = make_spec();
    spec.mounts.push_back({"/a", "bind", "/s", {"rbind", "z", "tmpcopyup"}});
    spec.mounts.push_back({"/b", "tmpfs", "", {"size=1k", "tmpcopyup"}});
    spec.mounts.push_back({"/c", "cgroup", "", {"ro", "xattr"}});
    EXPECT_THAT(
        review(spec),
        ElementsAre("mounts[0].options.tmpcopyup", "mounts[0].options.z", "mounts[2].options.xattr")
    );
}

TEST(ReviewTest, RefusesIdMappedMountsAndMissingTypes) {
    oci::Spec spec = make_spec();
    spec.mounts = {{"/a", "bind", "/s", {}, {{0, 1000, 1}}}};
    EXPECT_THROW(review(spec), Error);
    spec.mounts = {{"/a", "bind", "/s", {"ridmap"}}};
    EXPECT_THROW(review(spec), Error);
    spec.mounts = {{"/a", "", "/s", {"ro"}}};
    EXPECT_THROW(review(spec), Error);
}

TEST(ReviewTest, RefusesLimitsThatCannotBe) {
    oci::Process process;
    process.rlimits = {{"RLIMIT_NOFILE", 2, 1}};
    EXPECT_THROW(review(process), Error);
    process.rlimits = {{"RLIMIT_NOPE", 1, 1}};
    EXPECT_THROW(review(process), Error);
    process.rlimits = {{"RLIMIT_NOFILE", 1, 1}};
    EXPECT_THAT(review(process), IsEmpty());
}

TEST(ReviewTest, RefusesVariablesWithoutNameOrValue) {
    oci::Process process;
    process.env = {"A=1", "B="};
    EXPECT_THAT(review(process), IsEmpty());
    for (const char* entry : {"A", "=1", ""}) {
        process.env = {"A=1", entry};
        EXPECT_THROW(review(process), Error) << entry;
    }
}

TEST(ReviewTest, ReportsLimitsAboveTheMachine) {
    constexpr std::int64_t huge = std::int64_t{1} << 60;
    oci::Spec spec = make_spec();
    spec.linux_part.resources.memory = {.limit = huge, .reservation = huge};
    spec.linux_part.resources.cpu.quota = huge;
    EXPECT_THAT(
        review(spec),
        ElementsAre(
            "linux.resources.memory.limit",
            "linux.resources.memory.reservation",
            "linux.resources.cpu.quota"
        )
    );
    spec.linux_part.resources.memory = {.limit = -1, .reservation = 1};
    spec.linux_part.resources.cpu.quota = 100000;
    EXPECT_THAT(review(spec), IsEmpty());
}

TEST(ReviewTest, RefusesUnknownPropagation) {
    oci::Spec spec = make_spec();
    spec.linux_part.rootfs_propagation = "ro";
    EXPECT_THROW(review(spec), Error);
    spec.linux_part.rootfs_propagation = "rshared";
    EXPECT_THAT(review(spec), IsEmpty());
}

} // namespace
} // namespace cppvm::guest
