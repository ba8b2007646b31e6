#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"
#include "common/os/poll.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <fcntl.h>
#include <sys/time.h>

namespace cppvm {
namespace {

using std::chrono::milliseconds;

TEST(PipeTest, IsClosedOnExecAndTakesFlags) {
    const Pipe pipe = make_pipe("a test", O_NONBLOCK);
    for (const int fd : {pipe.read.get(), pipe.write.get()}) {
        EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
        EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    }
}

TEST(PipeTest, SaysForWhomThereIsNone) {
    try {
        make_pipe("a test", O_DIRECTORY); // no flag of pipe2(2)
        ADD_FAILURE() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "make a pipe for a test: Invalid argument");
    }
}

TEST(WaitReadableTest, TellsDataAndEndFromADeadline) {
    Pipe pipe = make_pipe("a test");
    EXPECT_FALSE(wait_readable(pipe.read.get(), "pipe", deadline_in(milliseconds(0))));
    EXPECT_FALSE(wait_readable(pipe.read.get(), "pipe", deadline_in(milliseconds(1))));
    write_all(pipe.write.get(), "pipe", "x");
    EXPECT_TRUE(wait_readable(pipe.read.get(), "pipe", deadline_in(milliseconds(0))));
    EXPECT_EQ(::read(pipe.read.get(), std::string(1, ' ').data(), 1), 1);
    pipe.write.reset();
    EXPECT_TRUE(wait_readable(pipe.read.get(), "pipe", no_deadline));
    EXPECT_TRUE(wait_readable(pipe.read.get(), "pipe", deadline_in(milliseconds(10'000))));
}

TEST(WaitReadableTest, GoesOnAfterSignals) {
    const Pipe pipe = make_pipe("a test");
    struct sigaction handler{};
    handler.sa_handler = [](int) {};
    struct sigaction before{};
    ASSERT_EQ(::sigaction(SIGALRM, &handler, &before), 0);
    const itimerval each_ms{{0, 1000}, {0, 1000}};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &each_ms, nullptr), 0);
    const Deadline deadline = deadline_in(milliseconds(30));
    EXPECT_FALSE(wait_readable(pipe.read.get(), "pipe", deadline));
    EXPECT_GE(std::chrono::steady_clock::now(), deadline);
    const itimerval off{};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &off, nullptr), 0);
    ASSERT_EQ(::sigaction(SIGALRM, &before, nullptr), 0);
}

} // namespace
} // namespace cppvm
