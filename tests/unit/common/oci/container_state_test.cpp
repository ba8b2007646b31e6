#include "common/oci/container_state.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <limits>

namespace cppvm::oci {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

Hook with_timeout(std::optional<int> timeout) {
    return {"/x", {}, {}, timeout};
}

TEST(ContainerStateTest, IsWrittenAsTheSpecificationHasIt) {
    const ContainerState state{"1.1.0", "c1", "created", 1, "/bundle", {{"key", "value"}}};
    EXPECT_EQ(
        to_json(state),
        R"({"annotations":{"key":"value"},"bundle":"/bundle","id":"c1","ociVersion":"1.1.0",)"
        R"("pid":1,"status":"created"})"
    );
}

TEST(ContainerStateTest, HasNoPidOfAContainerThatHasStopped) {
    const auto json = nlohmann::json::parse(to_json({"1.1.0", "c1", "stopped", 0, "/bundle", {}}));
    EXPECT_FALSE(json.contains("pid"));
    EXPECT_FALSE(json.contains("annotations"));
}

TEST(TimeLimitTest, IsTheHooksOwnOrTwoMinutes) {
    EXPECT_EQ(time_limit(with_timeout(7)), seconds(7));
    EXPECT_EQ(time_limit(with_timeout({})), seconds(120));
    EXPECT_EQ(time_limit(std::vector<Hook>{}), seconds(0));
    EXPECT_EQ(time_limit(std::vector{with_timeout(7), with_timeout({})}), seconds(127));
}

TEST(TimeLimitTest, IsADayAtMost) {
    const Hook endless = with_timeout(std::numeric_limits<int>::max());
    EXPECT_EQ(time_limit(endless), hours(24));
    EXPECT_EQ(time_limit(std::vector<Hook>(100000, endless)), hours(24));
}

} // namespace
} // namespace cppvm::oci
