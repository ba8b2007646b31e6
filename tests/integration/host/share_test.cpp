#include "host/storage/share.hpp"
#include "tests/integration/host/mount_fixture.hpp"

#include <sys/socket.h>
#include <sys/un.h>

namespace cppvm::storage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ShareTest : public MountTest {
  protected:
    ContainerStorage container(const std::string& id) const {
        ContainerStorage storage;
        storage.container_id = id;
        storage.rootfs = dir / "image";
        return storage;
    }

    void SetUp() override {
        MountTest::SetUp();
        if (!IsSkipped()) {
            dir.write("image/etc/hostname", "box\n");
            dir.write("volume/file", "text");
            dir.write("resolv.conf", "nameserver");
        }
    }

    std::filesystem::path share_dir() const { return dir / "share"; }
    std::filesystem::path in_share(const std::string& path) const { return dir / "share" / path; }
};

TEST_F(ShareTest, ShowsWhatIsMountedLaterToWhoCameBefore) {
    Share share(share_dir(), log.logger());
    const SlaveNamespace virtiofsd;
    ContainerStorage storage = container("box");
    storage.volumes = {{dir / "volume"}, {dir / "resolv.conf"}};
    storage.volumes[1].read_only = true;
    share.add_container(storage);

    for (const auto& root : {in_share("box"), virtiofsd.view(in_share("box"))}) {
        EXPECT_EQ(content(root / "rootfs/etc/hostname"), "box\n");
        EXPECT_EQ(content(root / "mounts/0/file"), "text");
        EXPECT_EQ(content(root / "mounts/1"), "nameserver");
        EXPECT_EQ(try_write(root / "mounts/0/new"), 0);
        EXPECT_EQ(try_write(root / "mounts/1"), EROFS);
        EXPECT_EQ(try_write(root / "rootfs/new"), 0);
        // The guest must not fill the host's run directory.
        EXPECT_EQ(try_write(root / "new"), EROFS);
        EXPECT_EQ(try_write(root / "mounts/new"), EROFS);
        EXPECT_EQ(try_write(root / "../new"), EROFS);
    }
    dir.write("volume/file", "changed on the host");
    EXPECT_EQ(content(virtiofsd.view(in_share("box/mounts/0/file"))), "changed on the host");

    share.remove_container("box");
    share.remove_container("box");
    EXPECT_FALSE(std::filesystem::exists(in_share("box")));
    EXPECT_EQ(virtiofsd.mounts_at(in_share("box")), 0u);
    EXPECT_EQ(content(dir / "volume/file"), "changed on the host");
    share.remove();
    share.remove();
    EXPECT_FALSE(std::filesystem::exists(share_dir()));
    EXPECT_EQ(mounts_at(share_dir()), 0u);
    EXPECT_EQ(log.text(), "");
}

TEST_F(ShareTest, MountsTheRootFileSystemThatContainerdDescribes) {
    Share share(share_dir(), log.logger());
    const SlaveNamespace virtiofsd;
    make_dir("upper");
    make_dir("work");
    ContainerStorage storage = container("box");
    storage.rootfs = "/does/not/matter";
    storage.rootfs_mounts = {
        {"overlay",
         "overlay",
         "",
         {"lowerdir=" + (dir / "image").native(),
          "upperdir=" + (dir / "upper").native(),
          "workdir=" + (dir / "work").native()}}
    };
    share.add_container(storage);
    EXPECT_EQ(content(virtiofsd.view(in_share("box/rootfs/etc/hostname"))), "box\n");
    EXPECT_EQ(try_write(virtiofsd.view(in_share("box/rootfs/new"))), 0);
    EXPECT_TRUE(std::filesystem::exists(dir / "upper/new"));
}

TEST_F(ShareTest, KeepsTheHostsMountsBelowAVolume) {
    mount_tmpfs(dir / "volume");
    ASSERT_EQ(::mount(nullptr, (dir / "volume").c_str(), nullptr, MS_SHARED, nullptr), 0);
    mount_tmpfs(dir / "volume/below");
    dir.write("volume/below/file", "text");
    {
        Share share(share_dir(), log.logger());
        ContainerStorage storage = container("box");
        storage.volumes = {{dir / "volume"}, {dir / "volume"}};
        storage.volumes[1].propagate = true;
        share.add_container(storage);
        EXPECT_EQ(content(in_share("box/mounts/0/below/file")), "text");
        EXPECT_EQ(content(in_share("box/mounts/1/below/file")), "text");
        share.remove_container("box");
        EXPECT_EQ(content(dir / "volume/below/file"), "text");
        share.add_container(storage);
    } // the destructor undoes it as well
    EXPECT_EQ(content(dir / "volume/below/file"), "text");
    EXPECT_EQ(mounts_at(dir / "volume"), 2u);
    EXPECT_FALSE(std::filesystem::exists(share_dir()));
}

TEST_F(ShareTest, ShowsWhatTheHostMountsLaterOnlyWherePropagationIsAsked) {
    mount_tmpfs(dir / "volume");
    ASSERT_EQ(::mount(nullptr, (dir / "volume").c_str(), nullptr, MS_SHARED, nullptr), 0);
    Share share(share_dir(), log.logger());
    const SlaveNamespace virtiofsd;
    ContainerStorage storage = container("box");
    storage.volumes = {{dir / "volume"}, {dir / "volume"}};
    storage.volumes[1].propagate = true;
    share.add_container(storage);
    mount_tmpfs(dir / "volume/later");
    dir.write("volume/later/file", "text");
    EXPECT_FALSE(std::filesystem::exists(in_share("box/mounts/0/later/file")));
    EXPECT_EQ(content(virtiofsd.view(in_share("box/mounts/1/later/file"))), "text");
    share.remove_container("box");
    EXPECT_EQ(content(dir / "volume/later/file"), "text");
    EXPECT_EQ(virtiofsd.mounts_at(in_share("box")), 0u);
}

TEST_F(ShareTest, MakesVolumesReadOnlyAsDeepAsAsked) {
    mount_tmpfs(dir / "volume/below");
    Share share(share_dir(), log.logger());
    ContainerStorage storage = container("box");
    storage.volumes = {{dir / "volume"}, {dir / "volume"}, {dir / "volume"}};
    storage.volumes[0].read_only = true;
    storage.volumes[1].recursive_read_only = true;
    storage.volumes[2].recursive = false;
    share.add_container(storage);
    EXPECT_EQ(try_write(in_share("box/mounts/0/new")), EROFS);
    EXPECT_EQ(try_write(in_share("box/mounts/0/below/new")), 0);
    EXPECT_EQ(try_write(in_share("box/mounts/1/new")), EROFS);
    EXPECT_EQ(try_write(in_share("box/mounts/1/below/other")), EROFS);
    EXPECT_EQ(try_write(in_share("box/mounts/2/new")), 0);
    EXPECT_FALSE(std::filesystem::exists(in_share("box/mounts/2/below/new")));
}

TEST_F(ShareTest, LeavesNothingOfAContainerThatFailsAtAnyStep) {
    Share share(share_dir(), log.logger());
    const std::size_t before = mounts_at(dir.path());
    for (std::size_t bad = 0; bad < 4; ++bad) {
        ContainerStorage storage = container("box");
        storage.volumes = {{dir / "volume"}, {dir / "resolv.conf"}, {dir / "volume"}};
        const std::string missing = dir / "missing";
        (bad == 0 ? storage.rootfs : storage.volumes[bad - 1].source) = missing;
        const std::string error = error_of([&] { share.add_container(storage); });
        EXPECT_THAT(
            error,
            AllOf(
                HasSubstr("prepare storage of container box: "),
                HasSubstr(missing + ": No such file")
            )
        );
        EXPECT_EQ(mounts_at(dir.path()), before);
        EXPECT_FALSE(std::filesystem::exists(in_share("box")));
    }
    ContainerStorage storage = container("box");
    storage.rootfs_mounts = {{"tmpfs", "tmpfs", "", {}}, {"nofs", "none", "", {}}};
    EXPECT_THROW(share.add_container(storage), Error);
    EXPECT_EQ(mounts_at(dir.path()), before);
}

TEST_F(ShareTest, RefusesIdsThatLeadElsewhereAndThoseInUse) {
    Share share(share_dir(), log.logger());
    for (const char* id : {"", ".", "..", "../other", "a/b"}) {
        EXPECT_THROW(share.add_container(container(id)), Error) << id;
        EXPECT_THROW(share.remove_container(id), Error) << id;
    }
    share.add_container(container("box"));
    EXPECT_THAT(
        error_of([&] { share.add_container(container("box")); }),
        HasSubstr("container box has storage already")
    );
    EXPECT_EQ(content(in_share("box/rootfs/etc/hostname")), "box\n"); // as it was
    share.add_container(container("other"));
    share.remove_container("box");
    EXPECT_EQ(content(in_share("other/rootfs/etc/hostname")), "box\n");
}

TEST_F(ShareTest, WarnsOfWhatCannotWorkInAGuest) {
    const std::string path = dir / "sock";
    const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    Share share(share_dir(), log.logger());
    ContainerStorage storage = container("box");
    storage.volumes = {{path}, {"/dev/null"}};
    share.add_container(storage);
    EXPECT_TRUE(log.has("source=" + path + " kind=socket")) << log.text();
    EXPECT_TRUE(log.has("source=/dev/null kind=device")) << log.text();
    EXPECT_TRUE(std::filesystem::is_socket(in_share("box/mounts/0")));
}

TEST_F(ShareTest, CanBeUndoneAfterItsOwnerDied) {
    dir.write("volume/below/file", "text");
    for (const bool by_successor : {false, true}) {
        const pid_t owner = ::fork();
        if (owner == 0) {
            Share share(share_dir(), Logger());
            ContainerStorage storage = container("box");
            storage.volumes = {{dir / "volume"}, {dir / "resolv.conf"}};
            share.add_container(storage);
            share.add_container(container("other"));
            ::_exit(7); // no destructor runs
        }
        int status = 0;
        ASSERT_EQ(::waitpid(owner, &status, 0), owner);
        ASSERT_EQ(WEXITSTATUS(status), 7);
        ASSERT_EQ(mounts_at(share_dir()), 5u);
        if (by_successor) {
            Share share(share_dir(), log.logger());
            EXPECT_EQ(mounts_at(share_dir()), 1u);
            share.add_container(container("box"));
        } else {
            undo_leftovers(share_dir());
            undo_leftovers(share_dir());
        }
        EXPECT_EQ(mounts_at(share_dir()), 0u);
        EXPECT_FALSE(std::filesystem::exists(share_dir()));
        EXPECT_EQ(content(dir / "volume/below/file"), "text");
        EXPECT_EQ(content(dir / "image/etc/hostname"), "box\n");
        EXPECT_EQ(content(dir / "resolv.conf"), "nameserver");
    }
}

TEST_F(ShareTest, FailsWithoutATraceWhereItCannotBe) {
    EXPECT_THAT(
        error_of([&] { Share share(dir / "no/parent", log.logger()); }),
        HasSubstr((dir / "no/parent").native())
    );
    const auto file = dir.write("file", "text");
    EXPECT_THAT(error_of([&] { Share share(file, log.logger()); }), HasSubstr(file.native()));
    EXPECT_EQ(content(file), "text");
}

} // namespace
} // namespace cppvm::storage
