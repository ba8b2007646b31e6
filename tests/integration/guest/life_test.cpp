#include "common/base/build_id.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <csignal>

namespace cppvm::testing {
namespace {

using ::testing::HasSubstr;

class AgentLifeTest : public AgentTest {};

TEST_F(AgentLifeTest, SaysHello) {
    EXPECT_EQ(agent.hello().build_id(), build_id());
    EXPECT_EQ(agent.hello().protocol_version(), 1U);
    EXPECT_FALSE(agent.hello().kernel_release().empty());
    ASSERT_GE(agent.hello().phases_size(), 1);
}

TEST_F(AgentLifeTest, RunsAProgram) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const RunResult result = co_await host.run(
            "c1", make_script_spec(agent, "c1", "echo out; echo err >&2; echo pid $$; exit 7")
        );
        EXPECT_EQ(result.output, "out\npid 1\n");
        EXPECT_EQ(result.errors, "err\n");
        EXPECT_EQ(result.status, 7U);
    });
}

} // namespace
} // namespace cppvm::testing
