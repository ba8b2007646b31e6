#include "common/base/error.hpp"
#include "common/os/child_process.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"
#include "host/vm/helper_process.hpp"
#include "host/vm/leftovers.hpp"
#include "host/vm/qemu_process.hpp"
#include "host/vm/vsock/vsock.hpp"
#include "proto/cppvm/libvirt.pb.h"
#include "tests/support/co_test.hpp"
#include "tests/support/log_capture.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>

#include <fcntl.h>
#include <unistd.h>

namespace cppvm::vm {
namespace {

using std::chrono::seconds;

// Not the UUID of any machine: the version digit says "custom", the rest is this test's.
constexpr const char* test_uuid = "7e570000-0000-8000-8000-000000000001";

std::string command_line(const std::vector<std::string>& arguments) {
    std::string text;
    for (const auto& argument : arguments) {
        text.append(argument).append(1, '\0');
    }
    return text;
}

TEST(QemuProcessTest, IsKnownByTheUuidOnItsCommandLine) {
    EXPECT_TRUE(names_qemu_of(command_line({"/usr/bin/qemu", "-uuid", "u-1", "-S"}), "u-1"));
    EXPECT_FALSE(names_qemu_of(command_line({"/usr/bin/qemu", "-uuid", "u-12"}), "u-1"));
    EXPECT_FALSE(names_qemu_of(command_line({"cppvm-libvirt", "x", "destroy", "u-1"}), "u-1"));
    EXPECT_FALSE(names_qemu_of("", "u-1"));
}

TEST(QemuProcessTest, KnowsAVirtiofsdByItsDirectory) {
    const auto names = [](std::vector<std::string> arguments) {
        return names_virtiofsd_of(command_line(arguments), "/run/cppvm/ab/share");
    };
    EXPECT_TRUE(names({"/usr/libexec/virtiofsd", "--shared-dir", "/run/cppvm/ab/share"}));
    EXPECT_FALSE(names({"/usr/libexec/virtiofsd", "--shared-dir", "/run/cppvm/ab/share2"}));
    EXPECT_FALSE(names({"/bin/tail", "/run/cppvm/ab/share"}));
    EXPECT_FALSE(names({}));
}

// A process that waits forever and has these words on its command line.
class Bystander {
  public:
    explicit Bystander(const asio::any_io_executor& executor, std::vector<std::string> words)
        : child_(executor, spec(std::move(words))) {}

    ChildProcess& child() { return child_; }

  private:
    ChildSpec spec(std::vector<std::string> words) {
        int ends[2];
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        read_ = UniqueFd(ends[0]);
        write_ = UniqueFd(ends[1]);
        ChildSpec result;
        result.arguments = {"/bin/sh", "-c", "read line", "sh"};
        result.arguments.insert(result.arguments.end(), words.begin(), words.end());
        result.descriptors = {{read_.get(), 0}};
        return result;
    }

    UniqueFd read_;
    UniqueFd write_;
    ChildProcess child_;
};

TEST(HelperProcessTest, TellsWhatItSaidLast) {
    testing::TempDir directory;
    testing::co_test([](std::filesystem::path pid_file) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Pipe end = make_pipe("the end of what the helper leaves running");
        ChildSpec spec;
        const char* const script = "read line <&3 & i=0; while [ $i -lt 400 ]; do i=$((i + 1)); "
                                   "echo line $i; done; echo no memory >&2; exit 3";
        spec.arguments = {"/bin/sh", "-c", script};
        spec.descriptors = {{end.read.get(), 3}};
        HelperProcess helper(executor, std::move(spec), pid_file);
        const ChildExit exit = co_await helper.wait();
        const std::string words = helper.describe(exit);
        EXPECT_TRUE(words.starts_with("/bin/sh ended with exit code 3: ")) << words;
        EXPECT_TRUE(words.ends_with("line 400 no memory ")) << words;
        EXPECT_LT(words.size(), 1100U);
        EXPECT_EQ(helper.describe(exit), "/bin/sh ended with exit code 3: no message");
    }(directory / "helper.pid"));
    EXPECT_FALSE(std::filesystem::exists(directory / "helper.pid"));
}

TEST(QemuProcessTest, FindsAndKillsTheMachinesProcessesOnly) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Bystander machine(executor, {"-uuid", test_uuid});
        Bystander other(executor, {"-uuid", "another"});
        const auto found = find_machine_processes(test_uuid, "/nowhere");
        EXPECT_EQ(found.size(), 1U);
        EXPECT_TRUE(is_qemu_of(machine.child().id(), test_uuid));
        EXPECT_FALSE(is_qemu_of(other.child().id(), test_uuid));
        EXPECT_FALSE(is_qemu_of({machine.child().pid(), 1}, test_uuid));
        const testing::LogCapture log;
        kill_machine_processes(test_uuid, "/nowhere", log.logger());
        EXPECT_EQ(log.text(), "");
        const ChildExit exit = co_await machine.child().wait();
        EXPECT_EQ(exit.signal, SIGKILL);
        EXPECT_TRUE(find_process(other.child().pid()).has_value());
    }());
}

class LeftoversTest : public ::testing::Test {
  public:
    LeftoversTest() {
        helper("exit 0");
        names_ = {"cppvm-test-leftovers", test_uuid, directory_ / "run", directory_ / "run/share"};
        std::filesystem::create_directory(names_.run_dir);
    }

    void helper(const std::string& script) {
        config_.hypervisor.libvirt_helper = directory_.write("helper", "#!/bin/sh\n" + script);
        std::filesystem::permissions(
            config_.hypervisor.libvirt_helper, std::filesystem::perms::owner_all
        );
    }

    Awaitable<bool> undo() {
        kill_leftover_processes(names_, log_.logger());
        co_return co_await undo_leftovers(names_, config_, log_.logger(), deadline_in(seconds(2)));
    }

    testing::TempDir directory_;
    config::Config config_;
    MachineNames names_;
    testing::LogCapture log_;
};

TEST_F(LeftoversTest, KillsWhatIsRecordedAndRemovesFiles) {
    auto body = [](LeftoversTest& test) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Bystander vsock(executor, {});
        Bystander qemu(executor, {"-uuid", test_uuid});
        const auto run_dir = test.names_.run_dir;
        write_file_atomically(run_dir / user_vsock_pid_file, to_text(vsock.child().id()), 0600);
        write_file_atomically(run_dir / qemu_pid_file, to_text(qemu.child().id()), 0600);
        write_file_atomically(run_dir / "console.sock", "", 0600);
        EXPECT_TRUE(co_await test.undo());
        EXPECT_TRUE(co_await test.undo());
        const ChildExit first = co_await vsock.child().wait();
        const ChildExit second = co_await qemu.child().wait();
        EXPECT_EQ(first.signal, SIGKILL);
        EXPECT_EQ(second.signal, SIGKILL);
        EXPECT_TRUE(std::filesystem::is_empty(run_dir));
    };
    testing::co_test(body(*this));
}

TEST_F(LeftoversTest, SparesAProcessThatTookTheRecordedPid) {
    auto body = [](LeftoversTest& test) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Bystander other(executor, {});
        ProcessId stale = other.child().id();
        --stale.start_time;
        write_file_atomically(test.names_.run_dir / qemu_pid_file, to_text(stale), 0600);
        EXPECT_TRUE(co_await test.undo());
        EXPECT_TRUE(find_process(other.child().pid()).has_value());
    };
    testing::co_test(body(*this));
}

TEST_F(LeftoversTest, ReportsThatLibvirtDidNotAnswerButDoesTheRest) {
    helper::v1::Response response;
    response.mutable_error()->set_code(static_cast<int>(Code::unavailable));
    response.mutable_error()->set_message("no socket");
    const auto answer = directory_.write("answer", response.SerializeAsString());
    helper("cat " + answer.native() + "; exit 1");
    auto body = [](LeftoversTest& test) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Bystander qemu(executor, {"-uuid", test_uuid});
        EXPECT_FALSE(co_await test.undo());
        const ChildExit exit = co_await qemu.child().wait();
        EXPECT_EQ(exit.signal, SIGKILL);
        EXPECT_TRUE(test.log_.has("no socket"));
    };
    testing::co_test(body(*this));
}

TEST_F(LeftoversTest, BoundsAHelperThatHangs) {
    helper("exec sleep 1000");
    auto body = [](LeftoversTest& test) -> Awaitable<> {
        const bool done = co_await undo_leftovers(
            test.names_,
            test.config_,
            test.log_.logger(),
            deadline_in(std::chrono::milliseconds(200))
        );
        EXPECT_FALSE(done);
    };
    testing::co_test(body(*this));
}

TEST_F(LeftoversTest, AsksNobodyWhereNothingIsLeft) {
    std::filesystem::remove(names_.run_dir);
    helper("touch " + (directory_ / "asked").native());
    auto body = [](LeftoversTest& test) -> Awaitable<> { EXPECT_TRUE(co_await test.undo()); };
    testing::co_test(body(*this));
    EXPECT_FALSE(std::filesystem::exists(directory_ / "asked"));
}

TEST_F(LeftoversTest, IgnoresPidFilesWithNonsense) {
    directory_.write("run/qemu.pid", "-1 7\n");
    directory_.write("run/vhost-device-vsock.pid", std::string(1000, '9'));
    auto body = [](LeftoversTest& test) -> Awaitable<> { EXPECT_TRUE(co_await test.undo()); };
    testing::co_test(body(*this));
}

} // namespace
} // namespace cppvm::vm
