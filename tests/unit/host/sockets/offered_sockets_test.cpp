#include "common/base/unique_fd.hpp"
#include "host/sockets/offered_sockets.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace cppvm::sockets {
namespace {

using storage::HostSocket;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;

class OfferedSocketsTest : public ::testing::Test {
  protected:
    std::filesystem::path make_socket(const std::string& name, mode_t mode = 0660) const {
        const auto path = dir / name;
        std::filesystem::create_directories(path.parent_path());
        const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.native().copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::chmod(path.c_str(), mode), 0);
        return path;
    }

    testing::TempDir dir;
};

TEST_F(OfferedSocketsTest, FindsTheSocketThatIsNamed) {
    const auto path = make_socket("docker.sock", 0640);
    const HostSocket expected{path, "", ::geteuid(), ::getegid(), 0640};
    EXPECT_THAT(find_offered({path}, path), ElementsAre(expected));
    EXPECT_THAT(find_offered({dir.path()}, path), ElementsAre(expected));
    EXPECT_THAT(find_offered({dir.path() / ""}, path), ElementsAre(expected));
    EXPECT_THAT(
        find_offered({"/elsewhere", dir.path()}, dir / "x/../docker.sock"), ElementsAre(expected)
    );
}

TEST_F(OfferedSocketsTest, FindsNothingThatIsNotOpened) {
    const auto path = make_socket("docker.sock");
    EXPECT_THAT(find_offered({}, path), IsEmpty());
    EXPECT_THAT(find_offered({dir / "docker"}, path), IsEmpty());
    EXPECT_THAT(find_offered({dir / "docker.sock/x"}, path), IsEmpty());
    EXPECT_THAT(find_offered({"/elsewhere"}, path), IsEmpty());
    EXPECT_THAT(find_offered({dir.path()}, dir.path() / "../../run/x.sock"), IsEmpty());
}

TEST_F(OfferedSocketsTest, FindsTheSocketsOfADirectoryButNotBelow) {
    make_socket("plugins/b.sock");
    make_socket("plugins/a.sock");
    make_socket("plugins/deeper/c.sock");
    dir.write("plugins/file", "text");
    const auto found = find_offered({dir / "plugins"}, dir / "plugins");
    EXPECT_THAT(
        found, ElementsAre(Field(&HostSocket::name, "a.sock"), Field(&HostSocket::name, "b.sock"))
    );
    EXPECT_EQ(found.front().path, dir / "plugins/a.sock");
}

TEST_F(OfferedSocketsTest, IgnoresWhatIsNoSocket) {
    EXPECT_THAT(find_offered({dir.path()}, dir.write("file", "text")), IsEmpty());
    EXPECT_THAT(find_offered({dir.path()}, dir / "missing"), IsEmpty());
}

// Who may write to the directory may not choose another socket of the host.
TEST_F(OfferedSocketsTest, FollowsNoLinkToAnotherSocket) {
    const auto secret = make_socket("secret/root.sock");
    std::filesystem::create_directories(dir / "open");
    std::filesystem::create_symlink(secret, dir / "open/link.sock");
    std::filesystem::create_symlink(dir / "secret", dir / "open/directory");
    const std::vector<std::filesystem::path> opened{dir / "open"};
    EXPECT_THAT(find_offered(opened, dir / "open/link.sock"), IsEmpty());
    EXPECT_THAT(find_offered(opened, dir / "open/directory"), IsEmpty());
    EXPECT_THAT(find_offered(opened, dir / "open/directory/root.sock"), IsEmpty());
    EXPECT_THAT(find_offered(opened, dir / "open"), IsEmpty());
}

// As /var/run is to /run.
TEST_F(OfferedSocketsTest, TakesAnOpenedPathThatIsALinkItself) {
    const auto path = make_socket("run/a.sock");
    std::filesystem::create_symlink(dir / "run", dir / "var-run");
    const auto found = find_offered({dir / "var-run/a.sock"}, dir / "var-run/a.sock");
    EXPECT_THAT(found, ElementsAre(Field(&HostSocket::path, path)));
}

} // namespace
} // namespace cppvm::sockets
