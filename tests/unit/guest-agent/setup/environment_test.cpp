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
        ElementsAre("A=3=4", "AB=x", "HOME=/h")
    );
}

TEST(EnvironmentTest, SetsAHomeThatIsMissingOrEmpty) {
    EXPECT_THAT(environment_of({"A=1"}), ElementsAre("A=1", "HOME=/"));
    EXPECT_THAT(environment_of({"HOME=", "A=1"}), ElementsAre("HOME=/", "A=1"));
    EXPECT_THAT(environment_of({"HOME=/h", "HOME="}), ElementsAre("HOME=/"));
}

} // namespace
} // namespace cppvm::guest
