#include "common/base/error.hpp"
#include "guest-agent/setup/support.hpp"
#include "tests/support/failure_of.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

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

TEST(ReviewTest, RefusesOwnersThatAreNotMapped) {
    oci::Spec spec = make_spec();
    spec.linux_part.namespaces.push_back({"user", ""});
    spec.linux_part.uid_mappings = {{0, 1000, 10}};
    spec.linux_part.gid_mappings = {{0, 1000, 6}};
    spec.mounts = {{"/a", "devpts", "", {"gid=5", "mode=620"}}, {"/b", "tmpfs", "", {"uid=9"}}};
    EXPECT_THAT(review(spec), IsEmpty());
    spec.linux_part.gid_mappings = {{0, 1000, 5}};
    try {
        review(spec);
        FAIL() << "was taken";
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "mounts[0].options.gid=5: is not mapped by linux.gidMappings");
    }
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

/// Something that a spec cannot say, and how the error begins.
struct Unknown {
    std::function<void(oci::Spec&)> say;
    const char* message;
};

TEST(ReviewTest, NamesTheFieldOfAWordThatItDoesNotKnow) {
    const std::vector<Unknown> rows{
        {[](auto& spec) { spec.process.rlimits = {{"RLIMIT_NOPE", 1, 1}}; },
         "process.rlimits[0].type: unknown limit 'RLIMIT_NOPE'"},
        {[](auto& spec) { spec.process.io_priority = {"IOPRIO_CLASS_X", 0}; },
         "process.ioPriority.class: unknown value 'IOPRIO_CLASS_X'"},
        {[](auto& spec) { spec.process.io_priority = {"IOPRIO_CLASS_BE", 8}; },
         "process.ioPriority.priority: must be between 0 and 7"},
        {[](auto& spec) { spec.process.scheduler.emplace().policy = "SCHED_X"; },
         "process.scheduler.policy: unknown value 'SCHED_X'"},
        {[](auto& spec) {
             spec.process.scheduler.emplace().policy = "SCHED_RR";
             spec.process.scheduler->flags = {"SCHED_FLAG_RECLAIM", "X"};
         },
         "process.scheduler.flags[1]: unknown value 'X'"},
        {[](auto& spec) { spec.linux_part.namespaces.push_back({"space", ""}); },
         "linux.namespaces[1].type: namespaces of type 'space'"},
        {[](auto& spec) { spec.linux_part.namespaces.push_back({"ipc", "/proc/1/ns/ipc"}); },
         "linux.namespaces[1].path: "},
        {[](auto& spec) { spec.linux_part.namespaces.push_back({"network", "container:c1"}); },
         "linux.namespaces[1].path: containers cannot share a namespace of type 'network'"},
        {[](auto& spec) { spec.linux_part.time_offsets["boottime"] = {}; },
         "linux.timeOffsets: needs a namespace of type 'time'"},
        {[](auto& spec) {
             spec.linux_part.namespaces.push_back({"time", ""});
             spec.linux_part.time_offsets["realtime"] = {};
         },
         "linux.timeOffsets.realtime: is no clock of a time namespace"},
        {[](auto& spec) {
             spec.linux_part.namespaces.push_back({"time", ""});
             spec.linux_part.time_offsets["boottime"] = {0, 1000000000};
         },
         "linux.timeOffsets.boottime.nanosecs: must be less than a second"},
        {[](auto& spec) { spec.linux_part.rootfs_propagation = "most"; },
         "linux.rootfsPropagation: unknown value 'most'"},
        {[](auto& spec) { spec.linux_part.personality.emplace().domain = "BSD"; },
         "linux.personality.domain: unknown value 'BSD'"},
        {[](auto& spec) { spec.linux_part.sysctl = {{"kernel.core_pattern", "x"}}; },
         "linux.sysctl.kernel.core_pattern: belongs to no namespace"},
        {[](auto& spec) { spec.linux_part.sysctl = {{"net/../kernel/panic", "1"}}; },
         "linux.sysctl.net/../kernel/panic: belongs to no namespace"},
    };
    for (const Unknown& row : rows) {
        oci::Spec spec = make_spec();
        row.say(spec);
        EXPECT_THAT(
            testing::failure_of([&] { static_cast<void>(review(spec)); }),
            ::testing::StartsWith(row.message)
        );
    }
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
