#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/unix_connection.hpp"
#include "host/vm/console.hpp"
#include "host/vm/unix_socket.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::vm {
namespace {

class CappedFileTest : public ::testing::Test {
  protected:
    testing::TempDir directory_;
};

TEST_F(CappedFileTest, StaysBelowItsLimitAndKeepsTheEnd) {
    CappedFile file(directory_ / "log", 100);
    std::string all;
    for (int i = 0; i < 1000; ++i) {
        const std::string line = "line " + std::to_string(i) + "\n";
        file.write(line);
        all.append(line);
        const auto older = std::filesystem::exists(directory_ / "log.1")
                               ? std::filesystem::file_size(directory_ / "log.1")
                               : 0;
        ASSERT_LE(std::filesystem::file_size(directory_ / "log") + older, 100U);
    }
    const std::string tail = file.tail(1000);
    EXPECT_GE(tail.size(), 50U);
    EXPECT_TRUE(all.ends_with(tail)) << tail;
}

TEST_F(CappedFileTest, TakesMoreThanItsLimitAtOnce) {
    CappedFile file(directory_ / "log", 64);
    file.write(std::string(1000, 'a') + "end");
    EXPECT_TRUE(file.tail(10).ends_with("end"));
    EXPECT_LE(std::filesystem::file_size(directory_ / "log"), 32U);
}

TEST_F(CappedFileTest, BeginsItsTailAtALine) {
    CappedFile file(directory_ / "log", 1000);
    file.write("first\nsecond\nthird\n");
    EXPECT_EQ(file.tail(10), "third\n");
    EXPECT_EQ(file.tail(1000), "first\nsecond\nthird\n");
    EXPECT_EQ(file.tail(3), "rd\n"); // no line fits
}

TEST_F(CappedFileTest, HasAnEmptyTailBeforeTheFirstWriteAndAfterRemoval) {
    CappedFile file(directory_ / "log", 1000);
    EXPECT_EQ(file.tail(10), "");
    file.write("x");
    file.remove();
    EXPECT_EQ(file.tail(10), "");
    EXPECT_FALSE(std::filesystem::exists(directory_ / "log"));
}

TEST_F(CappedFileTest, DoesNotWriteThroughALink) {
    const auto target = directory_.write("target", "precious");
    std::filesystem::create_symlink(target, directory_ / "log");
    CappedFile file(directory_ / "log", 1000);
    EXPECT_ANY_THROW(file.write("x"));
    EXPECT_EQ(read_file(target, 100), "precious");
}

TEST(LastWordsTest, AreTheEndFromALinesStart) {
    EXPECT_EQ(console_tail("", 10), "");
    EXPECT_EQ(console_tail("one\ntwo\n", 10), "one\ntwo\n");
    EXPECT_EQ(console_tail("one\ntwo\n", 6), "two\n");
    EXPECT_EQ(console_tail("one\ntwo\n", 4), "two\n");
    EXPECT_EQ(console_tail("one line", 4), "line");
}

TEST(LastWordsTest, AreTheReasonWhereTheKernelPanicked) {
    const std::string boot = "[ 0.1] booting for long\n";
    const std::string agent = "agent: no hello\n";
    const std::string panic = "[ 0.2] Kernel panic - not syncing: init\n";
    const std::string dump(200, 'd');
    EXPECT_EQ(console_tail(panic + "dump", 100), panic + "dump");
    const std::string words = console_tail(boot + agent + panic + dump, 80);
    EXPECT_TRUE(words.starts_with(agent + panic + "d")) << words;
    EXPECT_EQ(words.size(), 80U);
    // Linux repeats it below the dump.
    EXPECT_TRUE(console_tail(boot + panic + dump + "end " + panic, 80).starts_with(boot + panic));
}

bool anybody(const ucred& /*peer*/) {
    return true;
}

TEST(ConsoleTest, TurnsAwayWhoeverIsNotQemu) {
    testing::TempDir directory;
    testing::co_test([](std::filesystem::path run_dir) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Console console(executor, run_dir, 1024);
        auto stranger = co_await connect_unix(console.socket_path());
        auto machine = co_await connect_unix(console.socket_path());
        int asked = 0;
        const auto is_second = [&asked](const ucred& peer) {
            EXPECT_EQ(peer.uid, ::geteuid());
            return ++asked == 2;
        };
        co_await console.accept(is_second);
        char byte = 0;
        auto [ended, count] = co_await stranger.async_read_some(asio::buffer(&byte, 1), use_tuple);
        EXPECT_EQ(ended, asio::error::eof);
        co_await asio::async_write(machine, asio::buffer("words", 5), asio::use_awaitable);
        machine.close();
        co_await console.run();
        EXPECT_EQ(console.tail(100), "words");
    }(directory.path()));
}

TEST(ConsoleTest, LogsWhatTheMachinePrintsUntilItCloses) {
    testing::TempDir directory;
    testing::co_test([](std::filesystem::path run_dir) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Console console(executor, run_dir, 1024);
        struct stat status{};
        EXPECT_EQ(::stat(console.socket_path().c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0600U);
        auto machine = co_await connect_unix(console.socket_path());
        const pid_t pid = co_await console.accept(anybody);
        EXPECT_EQ(pid, ::getpid());
        EXPECT_FALSE(std::filesystem::exists(console.socket_path()));
        const std::string text = "Kernel panic\n";
        co_await asio::async_write(machine, asio::buffer(text), asio::use_awaitable);
        machine.close();
        co_await console.run();
        EXPECT_EQ(console.tail(100), text);
    }(directory.path()));
    EXPECT_FALSE(std::filesystem::exists(directory / "console.sock"));
    EXPECT_TRUE(std::filesystem::exists(directory / "console.log"));
}

TEST(ConsoleTest, DropsWhatItCannotLog) {
    testing::TempDir directory;
    testing::co_test([](std::filesystem::path run_dir) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        std::filesystem::create_directory(run_dir / "console.log");
        Console console(executor, run_dir, 1024);
        auto machine = co_await connect_unix(console.socket_path());
        co_await console.accept(anybody);
        const std::string text(100, 'x');
        co_await asio::async_write(machine, asio::buffer(text), asio::use_awaitable);
        machine.close();
        co_await console.run();
    }(directory.path()));
}

TEST(UnixSocketTest, RefusesPathsThatAreTooLong) {
    asio::io_context loop;
    EXPECT_ANY_THROW(listen_unix(loop.get_executor(), "/tmp/" + std::string(110, 'x')));
}

TEST(UnixSocketTest, ConnectsThroughNoLink) {
    testing::TempDir directory;
    testing::co_test([](std::filesystem::path path) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const auto listener = listen_unix(executor, path / "socket");
        std::filesystem::create_symlink(path / "socket", path / "link");
        const auto socket = co_await connect_unix(path / "socket");
        EXPECT_TRUE(socket.is_open());
        try {
            co_await connect_unix(path / "link");
            ADD_FAILURE() << "connected";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::unavailable);
        }
    }(directory.path()));
}

TEST(UnixSocketTest, ReplacesAStaleSocket) {
    testing::TempDir directory;
    asio::io_context loop;
    {
        const auto first = listen_unix(loop.get_executor(), directory / "s");
    }
    const auto second = listen_unix(loop.get_executor(), directory / "s");
    EXPECT_TRUE(second.is_open());
}

} // namespace
} // namespace cppvm::vm
