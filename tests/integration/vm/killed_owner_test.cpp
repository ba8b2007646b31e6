// The owner of a machine is killed (SIGKILL) at any moment; undo_leftovers then leaves nothing.

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/vm/leftovers.hpp"
#include "host/vm/libvirt/libvirt_hypervisor.hpp"
#include "host/vm/qemu_process.hpp"
#include "tests/integration/vm/vm_fixture.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/co_spawn.hpp>

#include <csignal>
#include <functional>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm::vm {
namespace {

using std::chrono::seconds;

class KilledOwnerTest : public VmFixture {
  public:
    /// A process that starts the machine and keeps it; killed once `when` holds.
    void start_and_kill(const std::function<bool()>& when) {
        const pid_t owner = ::fork();
        ASSERT_GE(owner, 0);
        if (owner == 0) {
            own();
        }
        const auto deadline = deadline_in(seconds(20));
        bool held = when();
        while (!held && std::chrono::steady_clock::now() < deadline) {
            ::poll(nullptr, 0, 1);
            held = when();
        }
        ::kill(owner, SIGKILL);
        ::waitpid(owner, nullptr, 0);
        EXPECT_TRUE(held);
    }

    void undo() {
        auto body = [](KilledOwnerTest& test) -> Awaitable<> {
            const auto began = std::chrono::steady_clock::now();
            kill_leftover_processes(test.names(), test.log_.logger());
            const bool done = co_await undo_leftovers(
                test.names(), test.config_, test.log_.logger(), deadline_in(seconds(4))
            );
            EXPECT_TRUE(done);
            EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(4));
        };
        testing::co_test(body(*this));
    }

  private:
    [[noreturn]] void own() {
        try {
            asio::io_context loop;
            LibvirtHypervisor hypervisor(loop.get_executor(), Logger(), config_);
            std::unique_ptr<VirtualMachine> machine;
            auto body = [](LibvirtHypervisor& from,
                           VmSpec machine_spec,
                           std::unique_ptr<VirtualMachine>& result) -> Awaitable<> {
                result = co_await from.start(std::move(machine_spec), deadline_in(seconds(20)));
            };
            asio::co_spawn(loop, body(hypervisor, spec(), machine), [](const std::exception_ptr&) {
            });
            loop.run();
        } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): the test sees it
        }
        ::pause();
        ::_exit(1);
    }
};

TEST_F(KilledOwnerTest, WhileItsVsockDeviceStarts) {
    start_and_kill([this] { return std::filesystem::exists(run_dir_ / "console.sock"); });
    undo();
}

TEST_F(KilledOwnerTest, WhileLibvirtStartsTheDomain) {
    start_and_kill([this] { return !find_machine_processes(uuid_, run_dir_ / "share").empty(); });
    undo();
}

TEST_F(KilledOwnerTest, WhenTheMachineRuns) {
    start_and_kill([this] { return std::filesystem::exists(run_dir_ / qemu_pid_file); });
    undo();
    undo();
}

TEST_F(KilledOwnerTest, WhenLibvirtdDoesNotAnswerAnyMore) {
    start_and_kill([this] { return std::filesystem::exists(run_dir_ / qemu_pid_file); });
    auto config = config_;
    config.hypervisor.uri = "qemu+unix:///system?socket=/nowhere/libvirt-sock";
    auto body = [](KilledOwnerTest& test, config::Config without_libvirtd) -> Awaitable<> {
        kill_leftover_processes(test.names(), test.log_.logger());
        const bool done = co_await undo_leftovers(
            test.names(), without_libvirtd, test.log_.logger(), deadline_in(seconds(4))
        );
        EXPECT_FALSE(done);
    };
    testing::co_test(body(*this, config));
    EXPECT_TRUE(find_machine_processes(uuid_, run_dir_ / "share").empty());
    undo(); // libvirtd, which does run in this test, forgets the domain
}

} // namespace
} // namespace cppvm::vm
