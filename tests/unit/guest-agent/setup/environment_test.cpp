#include "guest-agent/setup/process_setup.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::guest {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> environment_of(std::vector<std::string> variables) {
    oci::Process process;
    process.user.uid = 4294967294U; // has no line in /etc/passwd
    process.env = std::move(variables);
    return make_environment(process);
}

TEST(EnvironmentTest, TakesTheLastValueOfAName) {
    EXPECT_THAT(
        environment_of({"A=1", "AB=x", "HOME=/h", "A=2", "A=3=4"}),
        ElementsAre("AB=x", "HOME=/h", "A=3=4")
    );
}

TEST(EnvironmentTest, SetsAHomeThatIsMissingOrEmpty) {
    EXPECT_THAT(environment_of({"A=1"}), ElementsAre("A=1", "HOME=/"));
    EXPECT_THAT(environment_of({"HOME=", "A=1"}), ElementsAre("A=1", "HOME=/"));
    EXPECT_THAT(environment_of({"HOME=/h", "HOME="}), ElementsAre("HOME=/"));
}

TEST(EnvironmentTest, IsEmptyWhereNothingIsAskedFor) {
    EXPECT_THAT(environment_of({}), ElementsAre());
}

} // namespace
} // namespace cppvm::guest
