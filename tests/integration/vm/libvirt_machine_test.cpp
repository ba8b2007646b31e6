#include "common/async/task_group.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/process_id.hpp"
#include "common/wire/ports.hpp"
#include "common/wire/preamble.hpp"
#include "host/config/programs.hpp"
#include "host/vm/libvirt/libvirt_hypervisor.hpp"
#include "host/vm/libvirt/libvirt_state.hpp"
#include "tests/integration/vm/vm_fixture.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/failure_of.hpp"
#include "tests/support/loop_disk.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

#include <array>
#include <csignal>
#include <fcntl.h>
#include <net/if.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace cppvm::vm {
namespace {

using std::chrono::seconds;
using testing::failure_of;
using ::testing::HasSubstr;

/// Asks the agent for an RPC connection.
Awaitable<> send_preamble(StreamSocket& socket) {
    const auto preamble = wire::encode(wire::Preamble{wire::ConnectionKind::rpc, 0, 0});
    co_await asio::async_write(socket, asio::buffer(preamble), asio::use_awaitable);
}

/// Its answer. Throws: Error (deadline_exceeded).
Awaitable<bool> receive_answer(StreamSocket& socket, Deadline deadline) {
    auto read = [](StreamSocket& from) -> Awaitable<bool> {
        std::array<std::uint8_t, wire::preamble_answer_size> answer{};
        co_await asio::async_read(from, asio::buffer(answer), asio::use_awaitable);
        co_return wire::decode_preamble_answer(answer).accepted;
    };
    co_return co_await with_timeout(read(socket), deadline, "ask the agent");
}

class LibvirtMachineTest : public VmFixture {
  public:
    Awaitable<std::unique_ptr<VirtualMachine>> start(VmSpec machine) {
        auto executor = co_await asio::this_coro::executor;
        LibvirtHypervisor hypervisor(executor, log_.logger(), config_);
        co_return co_await hypervisor.start(std::move(machine), deadline_in(seconds(20)));
    }

    void run(Awaitable<> body) { testing::co_test(std::move(body), seconds(50)); }
};

TEST_F(LibvirtMachineTest, BootsAnswersAndLeavesNothing) {
    auto body = [](LibvirtMachineTest& test) -> Awaitable<> {
        auto machine = co_await test.start(test.spec());
        EXPECT_TRUE(find_process(machine->pid()).has_value());
        const AgentHello hello = co_await machine->wait_hello(deadline_in(seconds(30)));
        EXPECT_EQ(hello.protocol_version, wire::protocol_version);
        EXPECT_FALSE(hello.kernel_release.empty());

        auto socket = co_await machine->dial(wire::agent_port, deadline_in(seconds(5)));
        co_await send_preamble(socket);
        EXPECT_TRUE(co_await receive_answer(socket, deadline_in(seconds(5))));
        socket.close();

        const pid_t pid = machine->pid();
        co_await machine->stop();
        co_await machine->stop();
        co_await machine->wait_gone();
        const auto process = find_process(pid); // a zombie until init has reaped it
        EXPECT_TRUE(!process || !test.is_qemu(*process));
    };
    run(body(*this));
}

TEST_F(LibvirtMachineTest, GivesAndTakesDevices) {
    const testing::TempDir directory;
    const testing::LoopDisk loop(testing::make_image(directory / "disk", 1UL * 1024 * 1024));
    struct stat before{};
    ASSERT_EQ(::stat(loop.path().c_str(), &before), 0);
    auto body = [](LibvirtMachineTest& test, dev_t device) -> Awaitable<> {
        VmSpec spec = test.spec();
        spec.hotplug_slots = 2;
        auto machine = co_await test.start(std::move(spec));
        co_await machine->wait_hello(deadline_in(seconds(30)));
        const Disk disk{"data", device, false};
        const std::string node = "/dev/" + test.name_ + ".data";
        const std::string qemus = "/proc/" + std::to_string(machine->pid()) + "/root" + node;
        // Such an address other interfaces of the kernel's making have, too.
        const std::string tap = "cvt" + std::to_string(::getpid());
        const Nic nic{"eth1", tap, "fe:00:00:00:00:01"};
        for (int round = 0; round < 2; ++round) {
            co_await machine->attach(disk, deadline_in(seconds(10)));
            co_await machine->attach(nic, deadline_in(seconds(10)));
            EXPECT_NE(::if_nametoindex(tap.c_str()), 0U);
            // Neither in the host's /dev nor in QEMU's own.
            EXPECT_NE(::access(node.c_str(), F_OK), 0);
            EXPECT_NE(::access(qemus.c_str(), F_OK), 0);
            const std::string twice =
                co_await failure_of(machine->attach(disk, deadline_in(seconds(10))));
            EXPECT_THAT(twice, HasSubstr("attach device data: the name is in use"));
            // Returns when the guest's kernel has let go of it: so it had found it.
            co_await machine->detach("data", deadline_in(seconds(20)));
            co_await machine->detach("eth1", deadline_in(seconds(20)));
            EXPECT_EQ(::if_nametoindex(tap.c_str()), 0U);
        }
        const std::string none =
            co_await failure_of(machine->detach("data", deadline_in(seconds(10))));
        EXPECT_THAT(none, HasSubstr("detach device data: the machine has none"));
        co_await machine->stop();
    };
    run(body(*this, loop.number()));
    struct stat after{};
    ASSERT_EQ(::stat(loop.path().c_str(), &after), 0);
    EXPECT_EQ(after.st_uid, before.st_uid);
    EXPECT_EQ(after.st_mode, before.st_mode);
}

TEST_F(LibvirtMachineTest, SaysWhyADiskDoesNotCome) {
    auto body = [](LibvirtMachineTest& test) -> Awaitable<> {
        VmSpec spec = test.spec();
        spec.hotplug_slots = 1;
        auto machine = co_await test.start(std::move(spec));
        co_await machine->wait_hello(deadline_in(seconds(30)));
        // A disk of a controller that the host has not.
        const std::string failure = co_await failure_of(
            machine->attach(Disk{"data", ::makedev(8, 240), false}, deadline_in(seconds(10)))
        );
        EXPECT_THAT(failure, HasSubstr("No such device or address"));
        const std::string none =
            co_await failure_of(machine->detach("data", deadline_in(seconds(10))));
        EXPECT_THAT(none, HasSubstr("the machine has none"));
        EXPECT_NE(::access(("/dev/" + test.name_ + ".data").c_str(), F_OK), 0);
        co_await machine->stop();
    };
    run(body(*this));
}

// QEMU's user must not come to own what all machines boot.
TEST_F(LibvirtMachineTest, LeavesTheOwnersOfTheImageAsTheyAre) {
    auto body = [](LibvirtMachineTest& test) -> Awaitable<> {
        const VmSpec spec = test.spec();
        EXPECT_EQ(::chown(spec.kernel.c_str(), 0, 0), 0);
        EXPECT_EQ(::chown(spec.initramfs.c_str(), 0, 0), 0);
        auto machine = co_await test.start(spec);
        for (const auto& path : {spec.kernel, spec.initramfs, spec.share_dir}) {
            struct stat status{};
            EXPECT_EQ(::stat(path.c_str(), &status), 0);
            EXPECT_EQ(status.st_uid, 0U) << path;
        }
        co_await machine->stop();
    };
    run(body(*this));
}

// A helper that notes what it is asked for, and does it.
TEST_F(LibvirtMachineTest, AsksLibvirtForTheStartAlone) {
    const testing::TempDir directory;
    const auto log = directory / "asked";
    const auto helper = directory.write(
        "helper",
        "#!/bin/sh\necho $2 >>" + log.native() + "\nexec " +
            config::find_libvirt_helper(config_).native() + " \"$@\"\n"
    );
    std::filesystem::permissions(helper, std::filesystem::perms::owner_all);
    config_.hypervisor.libvirt_helper = helper;
    auto body = [](LibvirtMachineTest& test) -> Awaitable<> {
        auto machine = co_await test.start(test.spec());
        EXPECT_TRUE(known_to_libvirt(test.name_));
        co_await machine->stop();
        EXPECT_FALSE(known_to_libvirt(test.name_));
    };
    run(body(*this));
    EXPECT_EQ(read_file(log, 4096), "create\n");
    EXPECT_FALSE(log_.has("Destroying the domain"));
}

TEST_F(LibvirtMachineTest, SeesThatQemuWasKilled) {
    auto body = [](LibvirtMachineTest& test) -> Awaitable<> {
        auto machine = co_await test.start(test.spec());
        co_await machine->wait_hello(deadline_in(seconds(30)));
        EXPECT_EQ(::kill(machine->pid(), SIGKILL), 0);
        co_await with_timeout(machine->wait_gone(), deadline_in(seconds(5)), "wait gone");
        co_await machine->stop();
    };
    run(body(*this));
}

TEST_F(LibvirtMachineTest, SeesThatQemuDiedBeforeHello) {
    auto body = [](LibvirtMachineTest& test) -> Awaitable<> {
        auto machine = co_await test.start(test.spec());
        EXPECT_EQ(::kill(machine->pid(), SIGKILL), 0);
        try {
            co_await machine->wait_hello(deadline_in(seconds(30)));
            ADD_FAILURE() << "no error";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::unavailable);
            EXPECT_THAT(error.message(), HasSubstr("the virtual machine has ended"));
            EXPECT_THAT(error.message(), HasSubstr("console"));
        }
        co_await machine->stop();
    };
    run(body(*this));
}

TEST_F(LibvirtMachineTest, ShowsTheConsoleWhenTheKernelPanics) {
    auto body = [](LibvirtMachineTest& test) -> Awaitable<> {
        VmSpec spec = test.spec();
        spec.command_line = "rdinit=/absent root=/dev/absent";
        auto machine = co_await test.start(std::move(spec));
        try {
            co_await machine->wait_hello(deadline_in(seconds(30)));
            ADD_FAILURE() << "no error";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::unavailable);
            EXPECT_THAT(error.message(), HasSubstr("panic"));
            EXPECT_EQ(error.message().find('\n'), std::string::npos);
        }
        EXPECT_THAT(machine->console_tail(), HasSubstr("Kernel panic"));
        co_await machine->stop();
    };
    run(body(*this));
}

TEST_F(LibvirtMachineTest, GivesUpOnAGuestThatSaysNothing) {
    auto body = [](LibvirtMachineTest& test) -> Awaitable<> {
        auto machine = co_await test.start(test.spec());
        try {
            co_await machine->wait_hello(deadline_in(std::chrono::milliseconds(200)));
            ADD_FAILURE() << "no error";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::deadline_exceeded);
            EXPECT_THAT(error.message(), HasSubstr("wait for the guest agent"));
        }
        co_await machine->stop();
    };
    run(body(*this));
}

TEST_F(LibvirtMachineTest, EndsWhenTheGuestPowersOff) {
    auto body = [](LibvirtMachineTest& test) -> Awaitable<> {
        VmSpec spec = test.spec();
        spec.command_line = std::string(wire::power_off_key) + "=1";
        auto machine = co_await test.start(std::move(spec));
        co_await with_timeout(machine->wait_gone(), deadline_in(seconds(30)), "wait gone");
        co_await machine->stop();
    };
    run(body(*this));
}

TEST_F(LibvirtMachineTest, LeavesNothingWhenDroppedByAFailingOwner) {
    auto body = [](LibvirtMachineTest& test) -> Awaitable<> {
        auto machine = co_await test.start(test.spec());
        co_await machine->stop();
        machine.reset();
        // The names can be used again at once.
        auto second = co_await test.start(test.spec());
        co_await second->stop();
    };
    run(body(*this));
}

} // namespace
} // namespace cppvm::vm
