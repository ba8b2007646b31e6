#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"
#include "host/shim/fifo_sink.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::shim {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class FifoSinkTest : public ::testing::Test {
  protected:
    FifoSinkTest() { ::signal(SIGPIPE, SIG_IGN); }

    void make_fifo() const { ASSERT_EQ(::mkfifo(path_.c_str(), 0700), 0); }

    // As containerd opens it.
    UniqueFd open_reader() const { return open_file(path_, O_RDWR | O_NONBLOCK); }

    static std::string drain(const UniqueFd& reader) {
        std::string all;
        char buffer[65536];
        for (;;) {
            const ssize_t count = ::read(reader.get(), buffer, sizeof buffer);
            if (count <= 0) {
                return all;
            }
            all.append(buffer, static_cast<std::size_t>(count));
        }
    }

    testing::TempDir dir_;
    std::filesystem::path path_ = dir_ / "log";
};

TEST_F(FifoSinkTest, WritesLines) {
    make_fifo();
    const UniqueFd reader = open_reader();
    const auto sink = make_fifo_sink(path_);
    sink->write("one\n");
    sink->write("two\n");
    EXPECT_EQ(drain(reader), "one\ntwo\n");
}

TEST_F(FifoSinkTest, OpensAFifoThatComesLater) {
    const auto sink = make_fifo_sink(path_);
    sink->write("lost\n");
    make_fifo();
    sink->write("lost as well: nobody reads\n");
    const UniqueFd reader = open_reader();
    sink->write("seen\n");
    EXPECT_EQ(drain(reader), "level=warning msg=\"Log lines were dropped\" lines=2\nseen\n");
}

TEST_F(FifoSinkTest, DropsLinesWhileNobodyReads) {
    make_fifo();
    UniqueFd reader = open_reader();
    const auto sink = make_fifo_sink(path_);
    sink->write("one\n");
    EXPECT_EQ(drain(reader), "one\n");
    reader.reset();
    sink->write("two\n"); // EPIPE
    reader = open_reader();
    sink->write("three\n");
    EXPECT_EQ(drain(reader), "level=warning msg=\"Log lines were dropped\" lines=1\nthree\n");
}

TEST_F(FifoSinkTest, NeverBlocksOnAFullFifo) {
    make_fifo();
    const UniqueFd reader = open_reader();
    const auto sink = make_fifo_sink(path_);
    const std::string line = std::string(1023, 'x') + "\n";
    for (int i = 0; i < 100; ++i) {
        sink->write(line);
    }
    const std::string before = drain(reader);
    const std::size_t kept = before.size() / line.size();
    EXPECT_EQ(before.size(), kept * line.size()) << "a line was cut";
    EXPECT_LT(kept, 100U);
    sink->write("again\n");
    EXPECT_EQ(
        drain(reader),
        "level=warning msg=\"Log lines were dropped\" lines=" + std::to_string(100 - kept) +
            "\nagain\n"
    );
}

TEST_F(FifoSinkTest, EndsALineThatWasCut) {
    make_fifo();
    const UniqueFd reader = open_reader();
    const auto sink = make_fifo_sink(path_);
    sink->write(std::string(200'000, 'x') + "\n"); // larger than the pipe
    const std::string cut = drain(reader);
    EXPECT_THAT(cut, EndsWith("x"));
    sink->write("next\n");
    EXPECT_EQ(drain(reader), "\nlevel=warning msg=\"Log lines were dropped\" lines=1\nnext\n");
}

TEST_F(FifoSinkTest, CarriesALogger) {
    make_fifo();
    const UniqueFd reader = open_reader();
    const Logger logger(make_fifo_sink(path_), LogLevel::info);
    logger.info("VM started", {{"boot_ms", 5}});
    logger.debug("not shown");
    EXPECT_THAT(drain(reader), HasSubstr("level=info msg=\"VM started\" boot_ms=5\n"));
}

} // namespace
} // namespace cppvm::shim
