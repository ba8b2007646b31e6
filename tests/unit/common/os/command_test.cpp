#include "common/base/error.hpp"
#include "common/os/command.hpp"
#include "tests/support/co_test.hpp"

#include <gmock/gmock.h>

namespace cppvm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

Awaitable<std::string> error_of(std::vector<std::string> command, Deadline deadline) {
    try {
        co_await run_command(std::move(command), deadline);
    } catch (const Error& error) {
        co_return error.message();
    }
    co_return "no error";
}

TEST(RunCommandTest, GivesTheOutput) {
    testing::co_test([]() -> Awaitable<> {
        const std::string text = co_await run_command(
            {"/bin/sh", "-c", "echo out; echo err >&2"}, deadline_in(seconds(5))
        );
        EXPECT_EQ(text, "out\n");
    }());
}

TEST(RunCommandTest, TellsHowItFailedWithTheLastLineOfStderr) {
    testing::co_test([]() -> Awaitable<> {
        const std::string text = co_await error_of(
            {"/bin/sh", "-c", "echo first >&2; echo last >&2; exit 3"}, deadline_in(seconds(5))
        );
        EXPECT_EQ(text, "run /bin/sh: exit code 3: last");
        const std::string missing = co_await error_of({"/nowhere/x"}, deadline_in(seconds(5)));
        EXPECT_THAT(missing, HasSubstr("/nowhere/x"));
    }());
}

TEST(RunCommandTest, KillsWhatTakesTooLong) {
    testing::co_test([]() -> Awaitable<> {
        const std::string text =
            co_await error_of({"/bin/sleep", "1000"}, deadline_in(milliseconds(50)));
        EXPECT_THAT(text, HasSubstr("timed out"));
    }());
}

} // namespace
} // namespace cppvm
