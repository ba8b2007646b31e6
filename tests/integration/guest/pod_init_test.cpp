// What is left when the first process of a pod's pid namespace cannot be started.

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "guest-agent/setup/pod_init.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace cppvm::testing {
namespace {

using ::testing::HasSubstr;

class PodInitTest : public AgentTest {
  protected:
    std::string failure_with(const char* program) const {
        const auto directory = agent.cgroup() / "init";
        make_directory(directory, 0755);
        const UniqueFd cgroup = open_file(directory, O_RDONLY | O_DIRECTORY);
        std::string failure;
        try {
            guest::start_pod_init(cgroup.get(), program);
        } catch (const Error& error) {
            failure = error.message();
        }
        EXPECT_EQ(::rmdir(directory.c_str()), 0) << "a process is left in its cgroup";
        return failure;
    }
};

TEST_F(PodInitTest, TellsWhyItCannotBeExecuted) {
    EXPECT_THAT(failure_with("/no/such"), HasSubstr("start the pod's init: open /no/such: "));
    EXPECT_THAT(failure_with("/dev/null"), HasSubstr("start the pod's init: execute /dev/null: "));
}

TEST_F(PodInitTest, NoticesThatItEnds) {
    EXPECT_EQ(failure_with("/bin/true"), "start the pod's init: it ended");
    EXPECT_THAT(failure_with("/bin/echo"), HasSubstr("--pod-init")); // what it says instead
}

} // namespace
} // namespace cppvm::testing
