#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/process_id.hpp"
#include "common/wire/ports.hpp"
#include "host/vm/leftovers.hpp"
#include "host/vm/libvirt_hypervisor.hpp"
#include "tests/integration/vm/vm_fixture.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/co_spawn.hpp>
#include <gmock/gmock.h>

#include <csignal>

namespace cppvm::vm {

namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

class LibvirtMachineTest : public VmFixture {
  public:
    void run(Awaitable<> body) { testing::co_test(std::move(body), seconds(50)); }

    Awaitable<std::unique_ptr<VirtualMachine>> start(VmSpec machine) {
        auto executor = co_await asio::this_coro::executor;
        LibvirtHypervisor hypervisor(executor, logger_, config_);
        co_return co_await hypervisor.start(std::move(machine), deadline_in(seconds(20)));
    }
};

TEST_F(LibvirtMachineTest, BootsAndAnswersAndLeavesNothing) {
    auto body = [](LibvirtMachineTest& test) -> Awaitable<> {
        const auto began = std::chrono::steady_clock::now();
        auto machine = co_await test.start(test.spec());
        EXPECT_GT(machine->pid(), 0);
        const AgentHello hello = co_await machine->wait_hello(deadline_in(seconds(30)));
        EXPECT_EQ(hello.protocol_version, wire::protocol_version);
        EXPECT_FALSE(hello.kernel_release.empty());
        auto socket = co_await machine->dial(wire::agent_port, deadline_in(seconds(5)));
        socket.close();
        const auto stopping = std::chrono::steady_clock::now();
        co_await machine->stop();
        co_await machine->stop();
        const auto ended = std::chrono::steady_clock::now();
        for (const auto& phase : machine->phases()) {
            std::printf(
                "%s at %ld ms\n",
                phase.name.c_str(),
                static_cast<long>((phase.ended - began) / std::chrono::milliseconds(1))
            );
        }
        std::printf(
            "stop took %ld ms\n",
            static_cast<long>((ended - stopping) / std::chrono::milliseconds(1))
        );
    };
    run(body(*this));
}

} // namespace
} // namespace cppvm::vm
