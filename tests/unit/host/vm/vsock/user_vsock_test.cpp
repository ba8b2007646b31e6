#include "common/async/task_group.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/process_id.hpp"
#include "common/os/unix_connection.hpp"
#include "host/vm/unix_socket.hpp"
#include "host/vm/vsock/vsock.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

namespace cppvm::vm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

// Runs a shell script in the place of vhost-device-vsock; the test plays its sockets.
class UserVsockTest : public ::testing::Test {
  public:
    std::filesystem::path script(const std::string& text) {
        const auto path = directory_.write("program", "#!/bin/sh\n" + text);
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
        return path;
    }

    // Makes the device's socket (a file will do) and goes on.
    std::filesystem::path ready() {
        return script(
            "touch " + (directory_ / "run/vsock/vhost-vsock.sock").native() + "\nexec sleep 1000\n"
        );
    }

    void SetUp() override { std::filesystem::create_directory(directory_ / "run"); }

    testing::TempDir directory_;
};

TEST_F(UserVsockTest, WaitsForTheDevicesSocketAndCleansUp) {
    auto body = [](UserVsockTest& test) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const auto run_dir = test.directory_ / "run";
        auto vsock = make_user_vsock(executor, test.ready(), run_dir, {});
        co_await vsock->prepare(deadline_in(seconds(5)));
        EXPECT_EQ(vsock->device_socket(), run_dir / "vsock/vhost-vsock.sock");
        const auto process = parse_process_id(read_file(run_dir / user_vsock_pid_file, 64));
        EXPECT_TRUE(process && find_process(process->pid) == process);
        vsock.reset();
        EXPECT_EQ(find_process(process->pid), std::nullopt);
        EXPECT_TRUE(std::filesystem::is_empty(run_dir));
    };
    testing::co_test(body(*this));
}

TEST_F(UserVsockTest, ReportsWhatTheProgramSaidWhenItEnded) {
    auto body = [](UserVsockTest& test) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        auto vsock = make_user_vsock(
            executor, test.script("echo cannot do it >&2; exit 5"), test.directory_ / "run", {}
        );
        try {
            co_await vsock->prepare(deadline_in(seconds(5)));
            ADD_FAILURE() << "no error";
        } catch (const Error& error) {
            EXPECT_THAT(error.message(), HasSubstr("exit code 5"));
            EXPECT_THAT(error.message(), HasSubstr("cannot do it"));
        }
    };
    testing::co_test(body(*this));
}

TEST_F(UserVsockTest, GivesUpOnAProgramThatNeverListens) {
    auto body = [](UserVsockTest& test) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        auto vsock =
            make_user_vsock(executor, test.script("exec sleep 1000"), test.directory_ / "run", {});
        try {
            co_await vsock->prepare(deadline_in(milliseconds(100)));
            ADD_FAILURE() << "no error";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::deadline_exceeded);
        }
    };
    testing::co_test(body(*this));
}

TEST_F(UserVsockTest, NamesAProgramThatCannotBeRun) {
    asio::io_context loop;
    EXPECT_THROW(
        make_user_vsock(loop.get_executor(), "/nowhere/vhost-device-vsock", directory_ / "run", {}),
        Error
    );
    EXPECT_TRUE(
        std::filesystem::is_empty(directory_ / "run") ||
        !std::filesystem::exists(directory_ / "run/vhost-device-vsock.pid")
    );
}

// Dials port 1024 while the other side reads the request and answers `answer`.
Awaitable<std::string> dial(UserVsockTest& test, std::string answer) {
    auto executor = co_await asio::this_coro::executor;
    const auto run_dir = test.directory_ / "run";
    auto vsock = make_user_vsock(executor, test.ready(), run_dir, {});
    auto listener = listen_unix(executor, run_dir / "vsock/vsock.sock");
    std::string request;
    auto peer = [](auto& acceptor, std::string& line, std::string text) -> Awaitable<> {
        auto socket = co_await acceptor.async_accept(asio::use_awaitable);
        co_await asio::async_read_until(
            socket, asio::dynamic_buffer(line), '\n', asio::use_awaitable
        );
        co_await asio::async_write(socket, asio::buffer(text), asio::use_awaitable);
    };
    TaskGroup tasks(executor, Logger());
    tasks.spawn("peer", peer(listener, request, std::move(answer)));
    std::string rest;
    std::string failure;
    try {
        auto socket = co_await with_timeout(vsock->dial(1024), deadline_in(seconds(5)), "dial");
        co_await asio::async_read(socket, asio::dynamic_buffer(rest), use_tuple);
    } catch (const Error& error) {
        failure = error.message();
    }
    co_await tasks.join();
    EXPECT_EQ(request, "CONNECT 1024\n");
    co_return failure.empty() ? "connected:" + rest : failure;
}

TEST_F(UserVsockTest, DialsAndLeavesWhatFollowsTheAnswerInTheStream) {
    auto body = [](UserVsockTest& test) -> Awaitable<> {
        EXPECT_EQ(co_await dial(test, "OK 5\nhello"), "connected:hello");
    };
    testing::co_test(body(*this));
}

TEST_F(UserVsockTest, RefusesAnswersThatAreNone) {
    auto body = [](UserVsockTest& test) -> Awaitable<> {
        EXPECT_THAT(co_await dial(test, ""), HasSubstr("nobody listens"));
        EXPECT_THAT(co_await dial(test, "NO\n"), HasSubstr("unexpected answer"));
        EXPECT_THAT(co_await dial(test, std::string(1000, 'x')), HasSubstr("vsock port 1024"));
    };
    testing::co_test(body(*this));
}

TEST_F(UserVsockTest, TakesHelloOnlyFromItsOwnProcess) {
    auto body = [](UserVsockTest& test) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const auto run_dir = test.directory_ / "run";
        auto vsock = make_user_vsock(executor, test.ready(), run_dir, {});
        const auto path = run_dir / ("vsock/vsock.sock_" + std::to_string(vsock->boot_port()));
        auto stranger = co_await connect_unix(path);
        auto accept = [](Vsock& socket) -> Awaitable<> { co_await socket.accept(); };
        try {
            co_await with_timeout(accept(*vsock), deadline_in(milliseconds(100)), "hello");
            ADD_FAILURE() << "accepted a stranger";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::deadline_exceeded);
        }
        char byte = 0;
        auto [ended, count] = co_await stranger.async_read_some(asio::buffer(&byte, 1), use_tuple);
        EXPECT_TRUE(ended);
    };
    testing::co_test(body(*this));
}

} // namespace
} // namespace cppvm::vm
