#include "host/io/logging_process.hpp"
#include "tests/unit/host/io/io_fixture.hpp"

namespace cppvm::io {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class LoggingProcessTest : public ProcessIoTest {
  protected:
    std::string script(const std::string& name, const std::string& body) const {
        const auto path = dir.write(name, "#!/bin/sh\n" + body);
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
        return path;
    }

    Awaitable<> expect_failure(std::string program, bool v2, std::string text) {
        auto executor = co_await asio::this_coro::executor;
        const LoggerTarget target{{program}, v2};
        const LoggingProcess::Limits limits{200ms, 10ms, 50ms};
        const std::size_t before = open_descriptors();
        try {
            auto process = co_await LoggingProcess::start(executor, target, "ns", "id", limits);
            ADD_FAILURE() << "started " << program;
        } catch (const Error& error) {
            EXPECT_THAT(error.message(), HasSubstr("start logging program " + program + ": "));
            EXPECT_THAT(error.message(), HasSubstr(text));
        }
        EXPECT_EQ(open_descriptors(), before);
    }
};

TEST_F(LoggingProcessTest, GetsBothStreamsItsArgumentsAndNoOtherEnvironment) {
    const std::string program = script(
        "logger",
        "here=${0%/*}\n"
        "tr '\\0' '\\n' </proc/$$/environ >$here/env\n"
        "echo \"$@\" >$here/args\n"
        "ls /proc/$$/fd >$here/fds\n"
        "printf x >&5; exec 5>&-\n"
        "cat <&4 >$here/err &\n"
        "cat <&3 >$here/out; wait; echo end >$here/end\n"
    );
    const std::string data = noise(8 << 20);
    run([&, this]() -> Awaitable<> {
        const std::string uri = "binary-v2://" + program + "?first=1&second=two+words";
        auto io = co_await start({"", uri, uri, false});
        co_await guest_err->send_stream("errors");
        co_await guest_out->send_stream(data);
        const bool complete = co_await io->drained(deadline_in(5s));
        EXPECT_TRUE(complete);
        co_await io->stop();
    }());
    EXPECT_TRUE(read_file(dir / "out", 16 << 20) == data);
    EXPECT_EQ(read_file(dir / "err", 100), "errors");
    EXPECT_EQ(read_file(dir / "end", 100), "end\n"); // it ended by itself, not cut off
    EXPECT_EQ(read_file(dir / "args", 100), "first 1 second two words\n");
    EXPECT_EQ(read_file(dir / "env", 4096), "CONTAINER_ID=box\nCONTAINER_NAMESPACE=default\n");
    // 10 and 11: the shell's own, for its script and for what it redirects.
    EXPECT_THAT(
        read_file(dir / "fds", 100), ::testing::MatchesRegex("0\n1\n10\n(11\n)?2\n3\n4\n5\n")
    );
    EXPECT_EQ(log.text(), "");
}

TEST_F(LoggingProcessTest, MayCloseTheReadyPipeWithoutAWordUnlessVersionTwo) {
    const std::string program = script("logger", "exec 5>&-; cat <&3 >/dev/null");
    run([&, this]() -> Awaitable<> {
        auto io = co_await start({"", "binary://" + program, "", true});
        EXPECT_FALSE(io->has_stderr());
        co_await guest_out->send_stream("text");
        co_await io->stop();
        co_await expect_failure(program, true, "without saying that it is ready");
    }());
}

TEST_F(LoggingProcessTest, HasToGetReadyInTime) {
    const std::string program = script("logger", "exec sleep 1000");
    run(expect_failure(program, false, "wait until it is ready: timed out"));
}

TEST_F(LoggingProcessTest, MustExist) {
    run(expect_failure("/does/not/exist", false, "No such file or directory"));
}

TEST_F(LoggingProcessTest, MayDieWithoutHoldingUpTheProcess) {
    const std::string program = script("logger", "exec 5>&-; exit 3");
    run([&, this]() -> Awaitable<> {
        auto io = co_await start({"", "binary://" + program, "", false});
        co_await guest_out->send_stream(noise(1 << 20));
        co_await guest_err->send_stream("");
        const bool complete = co_await io->drained(deadline_in(5s));
        EXPECT_TRUE(complete);
        co_await io->stop();
        EXPECT_TRUE(log.has("Cannot write a process's output, dropping it")) << log.text();
    }());
}

TEST_F(LoggingProcessTest, IsKilledWhenItDoesNotEnd) {
    const std::string program = script(
        "logger", "trap '' TERM; echo $$ >${0%/*}/pid; exec 5>&-\nwhile :; do sleep 0.01; done"
    );
    run([&, this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const LoggingProcess::Limits limits{10s, 10ms, 50ms};
        auto process = co_await LoggingProcess::start(
            executor, LoggerTarget{{program}, false}, "ns", "id", limits
        );
        co_await process->stop(log.logger());
        EXPECT_TRUE(log.has("did not end, killed it")) << log.text();
        const pid_t pid = std::stoi(read_file(dir / "pid", 100));
        EXPECT_EQ(::kill(pid, 0), -1);
        co_await process->stop(log.logger());
    }());
}

} // namespace
} // namespace cppvm::io
