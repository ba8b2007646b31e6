#pragma once

#include "common/async/timeout.hpp"
#include "tests/integration/guest/agent_process.hpp"
#include "tests/integration/guest/host_side.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/steady_timer.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

namespace cppvm::testing {

/// Waits until `condition` holds, at most 10 s; it looks every 2 ms, since what it looks at
/// (another process's descriptors, say) cannot tell.
inline Awaitable<bool> eventually(std::function<bool()> condition) {
    auto executor = co_await asio::this_coro::executor;
    const Deadline deadline = deadline_in(std::chrono::seconds(10));
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) {
            co_return false;
        }
        asio::steady_timer pause(executor, std::chrono::milliseconds(2));
        co_await pause.async_wait(asio::use_awaitable);
    }
    co_return true;
}

/// One agent for each test, with the rootfs of container "c1". After the body the agent must be as
/// it was before: no descriptor, process, mount or cgroup more.
class AgentTest : public ::testing::Test {
  protected:
    AgentTest() { agent.make_rootfs("c1"); }

    void run_test(std::function<Awaitable<>(HostSide&)> body) {
        co_test(with_host(std::move(body)), std::chrono::seconds(50));
    }

    AgentProcess agent;

  private:
    Awaitable<> with_host(std::function<Awaitable<>(HostSide&)> body) {
        // What it did after its hello (a sanitizer's check, say) may have had descriptors open.
        EXPECT_TRUE(co_await eventually([&] { return agent.is_idle(); }));
        const std::map<int, std::string> descriptors = agent.open_descriptors();
        const std::size_t mounts = agent.mounts();
        auto host = co_await HostSide::connect(agent);
        std::exception_ptr failure;
        try {
            co_await body(*host);
        } catch (...) {
            failure = std::current_exception();
        }
        co_await host->stop();
        if (failure) {
            std::rethrow_exception(failure);
        }
        const bool clean = co_await eventually([&] {
            return agent.open_descriptors().size() == descriptors.size() && agent.processes() == 0;
        });
        EXPECT_TRUE(clean) << "descriptors: " << ::testing::PrintToString(agent.open_descriptors())
                           << ", before: " << ::testing::PrintToString(descriptors) << "; "
                           << agent.processes() << " processes";
        EXPECT_EQ(agent.mounts(), mounts);
        EXPECT_EQ(agent.cgroups(), 0U);
    }
};

} // namespace cppvm::testing
