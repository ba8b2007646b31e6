#include "common/base/error.hpp"
#include "host/sandbox/rollback.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/log_capture.hpp"

#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

namespace cppvm::sandbox {
namespace {

class RollbackTest : public ::testing::Test {
  protected:
    void add(const std::string& name, bool fails = false) {
        undo_.add(name, [this, name, fails]() -> Awaitable<> {
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
            done_ += name + " ";
            if (fails) {
                throw Error(Code::internal, name + " is stuck");
            }
        });
    }
    void run() { testing::co_test(undo_.run()); }

    testing::LogCapture log_;
    Rollback undo_{log_.logger()};
    std::string done_;
};

TEST_F(RollbackTest, UndoesTheLastStepFirst) {
    add("a");
    add("b");
    add("c");
    run();
    EXPECT_EQ(done_, "c b a ");
    EXPECT_EQ(log_.text(), "");
}

TEST_F(RollbackTest, ForgetsWhatIsUndone) {
    add("a");
    run();
    run();
    add("b");
    run();
    EXPECT_EQ(done_, "a b ");
}

TEST_F(RollbackTest, GoesOnAfterAStepThatFails) {
    add("a");
    add("b", true);
    add("c");
    run();
    EXPECT_EQ(done_, "c b a ");
    EXPECT_TRUE(log_.has("msg=\"Undo step failed\" step=b error=\"b is stuck\"")) << log_.text();
}

TEST_F(RollbackTest, RunsAStepThatAStepHasAdded) {
    undo_.add("a", [this]() -> Awaitable<> {
        add("b");
        co_return;
    });
    run();
    EXPECT_EQ(done_, "b ");
}

} // namespace
} // namespace cppvm::sandbox
