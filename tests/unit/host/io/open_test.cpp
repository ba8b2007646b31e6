#include "tests/unit/host/io/io_fixture.hpp"

#include <sys/socket.h>
#include <sys/un.h>

namespace cppvm::io {
namespace {

using ::testing::HasSubstr;
using OpenTest = ProcessIoTest;

TEST_F(OpenTest, WaitsForNoReaderAndNoWriter) {
    run([this]() -> Awaitable<> {
        const std::size_t before = open_descriptors();
        auto io = co_await open({fifo("in"), fifo("out"), fifo("err"), false});
        EXPECT_TRUE(io->has_stdin() && io->has_stdout() && io->has_stderr());
        const bool complete = co_await io->drained(deadline_in(std::chrono::seconds(1)));
        EXPECT_TRUE(complete); // nothing was attached
        co_await io->stop();
        io.reset();
        EXPECT_EQ(open_descriptors(), before);
    }());
}

TEST_F(OpenTest, HasNoStderrWithATerminal) {
    run([this]() -> Awaitable<> {
        auto io = co_await open({fifo("in"), fifo("out"), "/does/not/exist", true});
        EXPECT_TRUE(io->has_stdin() && io->has_stdout());
        EXPECT_FALSE(io->has_stderr());
    }());
}

TEST_F(OpenTest, MayHaveNothingToDo) {
    run([this]() -> Awaitable<> {
        auto io = co_await open({});
        EXPECT_FALSE(io->has_stdin() || io->has_stdout() || io->has_stderr());
        io->attach(std::nullopt, std::nullopt, std::nullopt);
        io->close_stdin();
        const bool complete = co_await io->drained(deadline_in(std::chrono::seconds(1)));
        EXPECT_TRUE(complete);
        co_await io->stop();
    }());
}

// Each stream in turn is wrong while the others are fine; nothing may stay open.
TEST_F(OpenTest, NamesWhatItCannotOpenAndLeavesNothing) {
    const std::string good_in = fifo("in");
    const std::string good_out = fifo("out");
    const std::string good_err = fifo("err");
    const std::string missing = dir / "missing";
    const std::string directory = dir.path();
    const std::string socket_path = dir / "sock";
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::close(fd);
    const std::string file = dir.write("file", "text");

    const std::pair<StdioSpec, std::vector<std::string>> cases[] = {
        {{missing, good_out, good_err, false}, {"stdin", missing, "No such file"}},
        {{good_in, missing, good_err, false}, {"stdout", missing, "No such file"}},
        {{good_in, good_out, missing, false}, {"stderr", missing, "No such file"}},
        {{good_in, directory, good_err, false}, {"stdout", directory, "neither a fifo"}},
        {{good_in, good_out, socket_path, false}, {"stderr", socket_path, "neither a fifo"}},
        {{file, good_out, good_err, false}, {"stdin", file, "not a fifo"}},
        {{"file://" + file, good_out, "", false}, {"stdin", "fifos and ttrpc+unix:// only"}},
        {{good_in, "http://x", good_err, false}, {"stdout", "http://x", "unknown scheme"}},
        {{good_in, "file:///dev/full/x", "", false}, {"/dev/full/x", "Not a directory"}},
        {{good_in, "file://" + good_out, "", false}, {good_out}},
        {{good_in, "binary://" + missing, "", false}, {missing, "No such file"}},
        {{good_in, "binary://" + file, "", false}, {file, "Permission denied"}},
    };
    for (const auto& [spec, parts] : cases) {
        run([&, this]() -> Awaitable<> {
            const std::size_t before = open_descriptors();
            try {
                auto io = co_await open(spec);
                ADD_FAILURE() << "opened: " << parts.front();
            } catch (const Error& error) {
                for (const auto& part : parts) {
                    EXPECT_THAT(error.message(), HasSubstr(part));
                }
                EXPECT_NE(error.code(), Code::not_found);
            }
            EXPECT_EQ(open_descriptors(), before);
        }());
    }
}

TEST_F(OpenTest, AppendsBothStreamsToOneExistingFile) {
    run([this]() -> Awaitable<> {
        const std::string file = dir.write("log", "old\n");
        auto io = co_await start({"", file, file, false});
        co_await guest_out->send_stream("out\n");
        co_await guest_err->send_stream("err\n");
        const bool complete = co_await io->drained(deadline_in(std::chrono::seconds(5)));
        EXPECT_TRUE(complete);
        co_await io->stop();
        const std::string text = read_file(file, 100);
        EXPECT_TRUE(text == "old\nout\nerr\n" || text == "old\nerr\nout\n") << text;
    }());
}

TEST_F(OpenTest, CreatesTheFileOfAFileAddressForBothStreams) {
    run([this]() -> Awaitable<> {
        const std::string file = dir / "new/sub dir/log";
        const std::string data = noise(300'000);
        auto io =
            co_await start({"", "file://" + (dir / "new").native() + "/sub%20dir/log", "", false});
        EXPECT_FALSE(io->has_stdin());
        EXPECT_TRUE(io->has_stdout() && io->has_stderr());
        co_await guest_out->send_stream(data);
        co_await guest_err->send_stream("err");
        co_await io->stop();
        const std::string text = read_file(file, 1 << 20);
        EXPECT_TRUE(text == data + "err" || text == "err" + data);
        struct stat status{};
        EXPECT_EQ(::stat(file.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0644u);
        EXPECT_EQ(::stat((dir / "new").c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0755u);
    }());
}

TEST_F(OpenTest, DropsOutputThatADiskDoesNotTakeAndSaysSoOnce) {
    run([this]() -> Awaitable<> {
        auto io = co_await start({"", "file:///dev/full", "", true});
        EXPECT_FALSE(io->has_stderr());
        co_await guest_out->send_stream(noise(200'000)); // not held up
        co_await io->stop();
        EXPECT_TRUE(log.has("No space left on device")) << log.text();
        EXPECT_EQ(log.text().find("Cannot write"), log.text().rfind("Cannot write"));
    }());
}

} // namespace
} // namespace cppvm::io
