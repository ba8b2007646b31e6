#include "common/async/run.hpp"
#include "common/base/error.hpp"
#include "common/os/forked_child.hpp"
#include "common/os/pipe.hpp"
#include "tests/support/co_test.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace cppvm {
namespace {

using testing::co_test;
using ::testing::HasSubstr;

Awaitable<Status> outcome(Awaitable<> operation) {
    try {
        co_await std::move(operation);
    } catch (...) {
        co_return to_status(std::current_exception());
    }
    co_return Status{};
}

TEST(ForkedChild, TalksBothWays) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ForkedChild child(executor, "add", {}, [](ParentLink& link) {
            const auto numbers = from_message<int>(link.receive());
            const std::array<int, 1> sum{numbers.at(0) + numbers.at(1)};
            link.send(to_message<int>(sum));
        });
        const std::array<int, 2> numbers{40, 2};
        child.send(to_message<int>(numbers));
        EXPECT_EQ(
            from_message<int>(co_await child.receive(deadline_in(std::chrono::seconds(5)))).at(0),
            42
        );
        co_await child.finish(deadline_in(std::chrono::seconds(5)));
    }());
}

TEST(ForkedChild, PassesFailuresOn) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ForkedChild child(executor, "open it", {}, [](ParentLink&) {
            throw_errno("open", "/a", EACCES);
        });
        try {
            co_await child.finish(deadline_in(std::chrono::seconds(5)));
            ADD_FAILURE() << "nothing was thrown";
        } catch (const Error& error) {
            EXPECT_EQ(error.message(), "open it: open /a: Permission denied");
            EXPECT_EQ(error.code(), Code::permission_denied);
            EXPECT_EQ(error.cause().value(), EACCES);
        }
    }());
}

TEST(ForkedChild, IsAbandonedAtTheDeadlineWhichNamesTheStep) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        std::optional<ForkedChild> child;
        child.emplace(executor, "mount", std::vector<int>{}, [](ParentLink& link) {
            link.begin("bind /volume");
            for (;;) {
                ::pause();
            }
        });
        const Status status =
            co_await outcome(child->finish(deadline_in(std::chrono::milliseconds(300))));
        EXPECT_EQ(status.code, Code::deadline_exceeded);
        EXPECT_EQ(status.message, "mount: bind /volume: timed out");
        child.reset();
    }());
}

TEST(ForkedChild, TellsOfAnEndByForce) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ForkedChild child(executor, "wait", {}, [](ParentLink&) { ::pause(); });
        child.kill();
        const Status status = co_await outcome(child.finish(deadline_in(std::chrono::seconds(5))));
        EXPECT_EQ(status.code, Code::unavailable);
        EXPECT_THAT(status.message, HasSubstr("was killed"));
    }());
}

TEST(ForkedChild, HoldsNoDescriptorButWhatItIsGiven) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const Pipe given = make_pipe("the test");
        const Pipe other = make_pipe("the test");
        ForkedChild child(
            executor,
            "look",
            {given.write.get()},
            [given = given.write.get(), other = other.write.get()](ParentLink& link) {
                const std::array<int, 3> answers{
                    ::fcntl(given, F_GETFD) >= 0,
                    ::fcntl(other, F_GETFD) >= 0,
                    ::fcntl(1, F_GETFD) >= 0
                };
                link.send(to_message<int>(answers));
            }
        );
        const auto answers =
            from_message<int>(co_await child.receive(deadline_in(std::chrono::seconds(5))));
        EXPECT_THAT(answers, ::testing::ElementsAre(1, 0, 1));
    }());
}

} // namespace
} // namespace cppvm
