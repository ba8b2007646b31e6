// A start that fails, at each of its steps: an error that says what to do, and nothing left.

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "host/vm/libvirt/libvirt_hypervisor.hpp"
#include "tests/integration/vm/vm_fixture.hpp"
#include "tests/support/co_test.hpp"

#include <gmock/gmock.h>

#include <fstream>

namespace cppvm::vm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FailedStartTest : public VmFixture {
  public:
    /// The error of a start that must fail; empty of one that need not, and did not.
    std::string
    error(VmSpec machine, std::chrono::milliseconds timeout = seconds(20), bool may_start = false) {
        std::string text;
        auto body = [](FailedStartTest& test,
                       VmSpec spec,
                       Deadline deadline,
                       bool allowed,
                       std::string& message) -> Awaitable<> {
            auto executor = co_await asio::this_coro::executor;
            LibvirtHypervisor hypervisor(executor, test.log_.logger(), test.config_);
            std::unique_ptr<VirtualMachine> machine;
            try {
                machine = co_await hypervisor.start(std::move(spec), deadline);
            } catch (const Error& failure) {
                message = failure.message();
            }
            if (machine) {
                EXPECT_TRUE(allowed) << "it started";
                co_await machine->stop();
            }
        };
        testing::co_test(
            body(*this, std::move(machine), deadline_in(timeout), may_start, text), seconds(50)
        );
        return text;
    }

    std::filesystem::path script(const std::string& text) const {
        const auto path = scratch_.write("program", "#!/bin/sh\n" + text);
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
        return path;
    }

    /// A libvirt helper that does what it is asked for, but never ends after a create.
    std::filesystem::path hanging_after_create() const {
        const std::string real = config_.hypervisor.libvirt_helper;
        return script(
            "if [ \"$2\" = create ]; then '" + real + "' \"$@\"; exec sleep 1000; fi\nexec '" +
            real + "' \"$@\"\n"
        );
    }

    testing::TempDir scratch_;
};

TEST_F(FailedStartTest, NoKernel) {
    VmSpec machine = spec();
    machine.kernel = "/nowhere/vmlinuz";
    EXPECT_THAT(error(machine), HasSubstr("/nowhere/vmlinuz: No such file"));
    machine.kernel = spec().kernel;
    machine.initramfs = "/nowhere/initramfs.img";
    EXPECT_THAT(error(machine), HasSubstr("cppvm image build"));
}

TEST_F(FailedStartTest, NoMemory) {
    VmSpec machine = spec();
    machine.memory_mib = 64 * 1024 * 1024;
    EXPECT_THAT(error(machine), HasSubstr("lower memory_mib"));
}

TEST_F(FailedStartTest, NoLibvirtd) {
    config_.hypervisor.uri = "qemu+unix:///system?socket=/nowhere/libvirt-sock";
    const std::string text = error(spec());
    EXPECT_THAT(text, HasSubstr("create domain " + name_));
    EXPECT_THAT(text, HasSubstr("/nowhere/libvirt-sock"));
    EXPECT_THAT(text, HasSubstr("libvirtd"));
}

TEST_F(FailedStartTest, EmulatorThatIsNone) {
    config_.hypervisor.emulator = "/bin/true";
    EXPECT_THAT(error(spec()), HasSubstr("libvirt: "));
}

TEST_F(FailedStartTest, VirtiofsdThatEndsAtOnce) {
    config_.hypervisor.virtiofsd = script("echo no share today >&2; exit 1");
    EXPECT_THAT(error(spec()), HasSubstr("no share today"));
}

TEST_F(FailedStartTest, VirtiofsdThatSaysNothing) {
    config_.hypervisor.virtiofsd = script("exec sleep 1000");
    EXPECT_THAT(error(spec(), seconds(2)), HasSubstr("timed out"));
}

TEST_F(FailedStartTest, ShareThatIsNotThere) {
    VmSpec machine = spec();
    machine.share_dir = run_dir_ / "absent";
    EXPECT_THAT(error(machine), HasSubstr("absent"));
}

TEST_F(FailedStartTest, RunDirThatIsNotThere) {
    VmSpec machine = spec();
    machine.run_dir = run_dir_ / "absent";
    EXPECT_THAT(error(machine), HasSubstr("absent/console.sock"));
}

TEST_F(FailedStartTest, VsockDeviceThatEndsAtOnce) {
    config_.vsock.transport = "user";
    config_.vsock.vhost_device_vsock = "/usr/bin/ls"; // a shell would not see its script
    EXPECT_THAT(error(spec()), HasSubstr("unrecognized option"));
}

TEST_F(FailedStartTest, HelperThatIsKilledAfterTheDomainWasMade) {
    const std::string real = config_.hypervisor.libvirt_helper;
    config_.hypervisor.libvirt_helper = script(
        "if [ \"$2\" = create ]; then '" + real +
        "' \"$@\" >/dev/null; kill -9 $$; fi\n"
        "exec '" +
        real + "' \"$@\"\n"
    );
    EXPECT_THAT(error(spec()), HasSubstr("signal 9"));
}

TEST_F(FailedStartTest, HelperThatHangs) {
    const std::string real = config_.hypervisor.libvirt_helper;
    config_.hypervisor.libvirt_helper =
        script("[ \"$2\" = create ] && exec sleep 1000\nexec '" + real + "' \"$@\"\n");
    EXPECT_THAT(error(spec(), milliseconds(300)), HasSubstr("timed out"));
}

// The helper is killed while libvirt is at it, sooner and later; at last the start may succeed.
TEST_F(FailedStartTest, DeadlineThatPassesDuringTheStart) {
    for (const int timeout : {10, 30, 50, 70, 90, 110, 130}) {
        const std::string text = error(spec(), milliseconds(timeout), true);
        EXPECT_THAT(text, AnyOf("", HasSubstr("timed out")));
        EXPECT_THAT(leftovers(), IsEmpty()) << timeout;
    }
}

// A helper that has made the domain but does not come back.
TEST_F(FailedStartTest, DeadlineThatPassesAfterTheStart) {
    config_.hypervisor.libvirt_helper = hanging_after_create();
    EXPECT_THAT(error(spec(), seconds(2)), HasSubstr("timed out"));
}

// The same by cancelling the coroutine.
TEST_F(FailedStartTest, CancelledStart) {
    config_.hypervisor.libvirt_helper = hanging_after_create();
    auto body = [](FailedStartTest& test) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        LibvirtHypervisor hypervisor(executor, test.log_.logger(), test.config_);
        auto start = [](LibvirtHypervisor& owner, VmSpec machine) -> Awaitable<> {
            co_await owner.start(std::move(machine), deadline_in(seconds(20)));
        };
        try {
            co_await with_timeout(start(hypervisor, test.spec()), deadline_in(seconds(2)), "start");
            ADD_FAILURE() << "it started";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::deadline_exceeded);
        }
    };
    testing::co_test(body(*this), seconds(50));
}

} // namespace
} // namespace cppvm::vm
