#include "guest-agent/setup/capabilities.hpp"
#include "guest-agent/setup/rlimits.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <linux/capability.h>
#include <sys/resource.h>

namespace cppvm::guest {
namespace {

using ::testing::ElementsAre;

TEST(CapabilitySetsTest, AreEmptyWithoutAnObject) {
    std::vector<std::string> unknown;
    const CapabilitySets sets = to_sets(std::nullopt, unknown);
    EXPECT_EQ(sets.bounding | sets.effective | sets.permitted | sets.ambient, 0U);
    EXPECT_TRUE(unknown.empty());
}

TEST(CapabilitySetsTest, KeepTheSetsApartAndReportUnknownNames) {
    oci::Capabilities names;
    names.bounding = {"CAP_CHOWN", "CAP_NEW"};
    names.effective = {"CAP_KILL"};
    names.inheritable = {"CAP_MKNOD"};
    names.permitted = {"CAP_CHECKPOINT_RESTORE"};
    names.ambient = {"CAP_OTHER"};
    std::vector<std::string> unknown;
    const CapabilitySets sets = to_sets(names, unknown);
    EXPECT_EQ(sets.bounding, 1U << CAP_CHOWN);
    EXPECT_EQ(sets.effective, 1U << CAP_KILL);
    EXPECT_EQ(sets.inheritable, 1U << CAP_MKNOD);
    EXPECT_EQ(sets.permitted, CapabilityBits{1} << CAP_CHECKPOINT_RESTORE);
    EXPECT_EQ(sets.ambient, 0U);
    EXPECT_THAT(
        unknown,
        ElementsAre(
            "process.capabilities.bounding.CAP_NEW", "process.capabilities.ambient.CAP_OTHER"
        )
    );
}

TEST(RlimitNumberTest, KnowsTheKernelsNames) {
    EXPECT_EQ(rlimit_number("RLIMIT_NOFILE"), RLIMIT_NOFILE);
    EXPECT_EQ(rlimit_number("RLIMIT_RTTIME"), RLIMIT_RTTIME);
    EXPECT_EQ(rlimit_number("NOFILE"), std::nullopt);
}

} // namespace
} // namespace cppvm::guest
