#include "common/base/error.hpp"
#include "common/os/child_process.hpp"
#include "common/os/file.hpp"
#include "tests/support/co_test.hpp"

#include <csignal>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm {
namespace {

ChildSpec shell(std::string script) {
    ChildSpec spec;
    spec.arguments = {"/bin/sh", "-c", std::move(script)};
    return spec;
}

TEST(ChildProcessTest, ReportsExitCodeAndSignal) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ChildProcess first(executor, shell("exit 3"));
        auto first_exit = co_await first.wait();
        EXPECT_EQ(to_text(first_exit), "exit code 3");
        ChildProcess second(executor, shell("kill -9 $$"));
        auto second_exit = co_await second.wait();
        EXPECT_EQ(to_text(second_exit), "signal 9");
    }());
}

TEST(ChildProcessTest, NamesTheProgramThatCannotBeExecuted) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ChildSpec spec;
        spec.arguments = {"/nonexistent/program"};
        std::string message;
        try {
            ChildProcess child(executor, spec);
        } catch (const Error& error) {
            message = error.message();
        }
        EXPECT_EQ(message, "execute /nonexistent/program: No such file or directory");
    }());
}

TEST(ChildProcessTest, GivesTheChildExactlyTheNamedEnvironment) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        int ends[2];
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        UniqueFd in(ends[0]);
        UniqueFd out(ends[1]);
        ChildSpec spec;
        spec.arguments = {"/usr/bin/env"};
        spec.environment = {"FIRST=a value longer than a small string", "SECOND="};
        spec.descriptors = {{out.get(), 1}};
        ChildProcess child(executor, spec);
        out.reset();
        co_await child.wait();
        const std::string listed = read_all(in.get(), "pipe", 4096);
        EXPECT_EQ(listed, "FIRST=a value longer than a small string\nSECOND=\n");
    }());
}

TEST(ChildProcessTest, GivesTheChildExactlyTheNamedDescriptors) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        int ends[2];
        EXPECT_EQ(::pipe(ends), 0); // not close-on-exec on purpose
        UniqueFd in(ends[0]);
        UniqueFd out(ends[1]);
        ChildSpec spec;
        spec.arguments = {"/bin/ls", "/proc/self/fd"};
        spec.descriptors = {{out.get(), 1}, {out.get(), 7}};
        ChildProcess child(executor, spec);
        out.reset();
        co_await child.wait();
        const std::string listed = read_all(in.get(), "pipe", 4096);
        EXPECT_EQ(listed, "0\n1\n2\n3\n7\n"); // 3 is the directory that ls reads
    }());
}

TEST(ChildProcessTest, TerminatesAChildThatIgnoresSigterm) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        int ends[2];
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        UniqueFd in(ends[0]);
        UniqueFd out(ends[1]);
        ChildSpec spec = shell("trap '' TERM; echo r >&5; while :; do read x; done <&0; sleep 60");
        spec.descriptors = {{out.get(), 5}};
        ChildProcess child(executor, spec);
        char ready = 0;
        EXPECT_EQ(::read(in.get(), &ready, 1), 1);
        auto exit = co_await child.terminate(std::chrono::milliseconds(20));
        EXPECT_EQ(exit.signal, SIGKILL);
    }());
}

TEST(ChildProcessTest, KillsAndReapsInTheDestructor) {
    ProcessId process;
    testing::co_test([](ProcessId& id) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ChildProcess child(executor, shell("sleep 60"));
        id = child.id();
    }(process));
    EXPECT_EQ(find_process(process.pid), std::nullopt);
}

TEST(ChildProcessTest, LeavesADetachedChildAlone) {
    ProcessId process;
    testing::co_test([](ProcessId& id) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ChildProcess child(executor, shell("sleep 60"));
        id = child.id();
        child.detach();
        child.signal(SIGKILL); // of no effect, on the child or anybody
        auto exit = co_await child.wait();
        EXPECT_EQ(to_text(exit), "exit code 0");
    }(process));
    EXPECT_EQ(find_process(process.pid), process);
    ::kill(process.pid, SIGKILL);
    EXPECT_EQ(::waitpid(process.pid, nullptr, 0), process.pid);
}

} // namespace
} // namespace cppvm
