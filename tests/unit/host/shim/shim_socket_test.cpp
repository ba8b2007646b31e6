#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/shim/shim_socket.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>

namespace cppvm::shim {
namespace {

using ::testing::HasSubstr;

class ShimSocketTest : public ::testing::Test {
  protected:
    std::optional<ShimSocket> bind() const { return ShimSocket::bind(identity_, dir_ / "s"); }

    std::filesystem::path path() const { return identity_.socket_path(dir_ / "s"); }

    bool exists() const { return std::filesystem::exists(path()); }

    testing::TempDir dir_;
    Identity identity_{"/run/containerd/containerd.sock", "k8s.io", "pod1"};
};

TEST_F(ShimSocketTest, ListensAtTheNameOfTheConvention) {
    const auto socket = bind();
    ASSERT_TRUE(socket);
    EXPECT_EQ(socket->path(), path());
    EXPECT_EQ(socket->address(), "unix://" + path().native());
    EXPECT_EQ(socket_path_of(socket->address()), path());
    EXPECT_TRUE(ShimSocket::is_live(path()));
    struct stat status{};
    ASSERT_EQ(::stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0600U);
}

TEST_F(ShimSocketTest, GoesWithItsOwner) {
    {
        const auto socket = bind();
    }
    EXPECT_FALSE(exists());
}

TEST_F(ShimSocketTest, StaysWhenReleased) {
    auto socket = bind();
    UniqueFd listener(::dup(socket->fd()));
    socket->release();
    socket.reset();
    EXPECT_TRUE(exists());
    {
        const ShimSocket adopted = ShimSocket::adopt(std::move(listener), path());
        EXPECT_TRUE(ShimSocket::is_live(path()));
    }
    EXPECT_FALSE(exists());
}

TEST_F(ShimSocketTest, FindsALiveShim) {
    const auto first = bind();
    EXPECT_FALSE(bind());
    EXPECT_TRUE(ShimSocket::is_live(path()));
}

TEST_F(ShimSocketTest, ReplacesADeadOne) {
    auto dead = bind();
    dead->take_listener(); // closed at once; the name stays
    EXPECT_FALSE(ShimSocket::is_live(path()));
    const auto next = bind();
    EXPECT_TRUE(next);
    dead.reset();
    EXPECT_TRUE(exists()) << "the old one's end removed the new one's name";
    EXPECT_TRUE(ShimSocket::is_live(path()));
}

TEST_F(ShimSocketTest, ReplacesAFileThatIsNoSocket) {
    std::filesystem::create_directories(dir_ / "s");
    dir_.write("s/" + identity_.hash(), "text");
    EXPECT_TRUE(bind());
}

TEST_F(ShimSocketTest, TakesAFullQueueForLife) {
    const auto socket = bind();
    ASSERT_EQ(::listen(socket->fd(), 0), 0);
    // Nobody accepts: after the first two the kernel answers EAGAIN.
    for (int i = 0; i < 8; ++i) {
        EXPECT_TRUE(ShimSocket::is_live(path()));
    }
}

TEST_F(ShimSocketTest, HasOneWinnerAmongMany) {
    for (int round = 0; round < 20; ++round) {
        { // a dead one, so that every thread has something to replace
            auto dead = bind();
            ASSERT_TRUE(dead);
            dead->release();
        }
        std::vector<std::optional<ShimSocket>> sockets(8);
        {
            std::vector<std::jthread> threads;
            threads.reserve(sockets.size());
            for (auto& socket : sockets) {
                threads.emplace_back([&] {
                    if (auto bound = bind()) {
                        socket.emplace(std::move(*bound));
                    }
                });
            }
        }
        const auto winners = std::count_if(sockets.begin(), sockets.end(), [](const auto& socket) {
            return socket.has_value();
        });
        EXPECT_EQ(winners, 1);
        EXPECT_TRUE(ShimSocket::is_live(path()));
    }
    EXPECT_FALSE(exists());
}

TEST_F(ShimSocketTest, RemovesOnlyDeadOnes) {
    ShimSocket::remove_dead(path()); // no directory yet
    auto socket = bind();
    ShimSocket::remove_dead(path());
    EXPECT_TRUE(exists());
    socket->release();
    ShimSocket::remove_dead(path());
    EXPECT_FALSE(exists());
}

TEST_F(ShimSocketTest, SaysThatThePathIsTooLong) {
    try {
        ShimSocket::bind(identity_, "/run/" + std::string(60, 'x'));
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_THAT(error.message(), HasSubstr("longer than 107 bytes"));
    }
    EXPECT_FALSE(std::filesystem::exists("/run/" + std::string(60, 'x')));
}

TEST_F(ShimSocketTest, SaysThatTheDirectoryIsAFile) {
    dir_.write("s", "");
    EXPECT_THROW(bind(), Error);
}

TEST_F(ShimSocketTest, GivesUpOnALockedDirectory) {
    std::filesystem::create_directories(dir_ / "s");
    const UniqueFd other = open_file(dir_ / "s", O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(::flock(other.get(), LOCK_EX), 0);
    try {
        bind();
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_THAT(error.message(), HasSubstr("another process holds it"));
    }
}

TEST_F(ShimSocketTest, KnowsItsOwnAddressesOnly) {
    EXPECT_EQ(socket_path_of("unix:///a/b"), "/a/b");
    EXPECT_EQ(socket_path_of("/a/b"), "");
    EXPECT_EQ(socket_path_of("vsock://3:4"), "");
}

} // namespace
} // namespace cppvm::shim
