#include "host/storage/root_watch.hpp"
#include "host/storage/share.hpp"
#include "tests/integration/host/mount_fixture.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/failure_of.hpp"
#include "tests/support/fake_share_server.hpp"

#include <functional>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>

namespace cppvm::storage {
namespace {

using cppvm::testing::failure_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Deadline soon() {
    return deadline_in(std::chrono::seconds(10));
}

/// A share with its two servers.
struct OpenShare {
    OpenShare(
        const asio::any_io_executor& executor, const std::filesystem::path& dir, Logger logger
    )
        : share(executor, dir, std::move(logger)), roots(dir), volumes(dir) {
        share.open({roots.pid(), volumes.pid()});
    }

    Share share;
    testing::FakeShareServer roots;
    testing::FakeShareServer volumes;
};

/// A mount whose server never answers: a FUSE connection that nobody reads.
class HungFileSystem {
  public:
    explicit HungFileSystem(std::string path) : path_(std::move(path)) {
        fuse_ = UniqueFd(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
        EXPECT_TRUE(fuse_) << "needs /dev/fuse";
        const std::string options =
            "fd=" + std::to_string(fuse_.get()) + ",rootmode=40000,user_id=0,group_id=0";
        EXPECT_EQ(::mount("hung", path_.c_str(), "fuse", 0, options.c_str()), 0);
    }
    HungFileSystem(const HungFileSystem&) = delete;
    HungFileSystem& operator=(const HungFileSystem&) = delete;
    ~HungFileSystem() { ::umount2(path_.c_str(), MNT_DETACH | MNT_FORCE); }

    const std::string& path() const noexcept { return path_; }

  private:
    std::string path_;
    UniqueFd fuse_;
};

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

    /// Runs `body` with a share; the host's mounts are afterwards what they were.
    void with_share(std::function<Awaitable<>(OpenShare&)> body) {
        const std::size_t before = read_mountinfo().size();
        testing::co_test(
            [](ShareTest* test, std::function<Awaitable<>(OpenShare&)> run) -> Awaitable<> {
                OpenShare open(
                    co_await asio::this_coro::executor, test->dir / "share", test->log.logger()
                );
                co_await run(open);
            }(this, std::move(body))
        );
        EXPECT_EQ(read_mountinfo().size(), before);
        EXPECT_FALSE(std::filesystem::exists(dir / "share"));
    }
};

/// Writes that file with the overlay for root, as `docker cp` does.
void write_with_root(const std::filesystem::path& root, const char* file) {
    const pid_t child = ::fork();
    if (child == 0) {
        const bool is_root = ::unshare(CLONE_NEWNS) == 0 &&
                             ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) == 0 &&
                             ::chdir(root.c_str()) == 0 && ::syscall(SYS_pivot_root, ".", ".") == 0;
        ::_exit(is_root && ::close(::open(file, O_WRONLY | O_CREAT, 0600)) == 0 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST_F(ShareTest, TellsWhatOthersThanTheGuestWriteToAnOverlay) {
    for (const char* name : {"lower/etc", "upper", "work", "merged"}) {
        make_dir(name);
    }
    dir.write("lower/etc/file", "of the image\n");
    const std::string options = "lowerdir=" + (dir / "lower").native() +
                                ",upperdir=" + (dir / "upper").native() +
                                ",workdir=" + (dir / "work").native();
    const auto merged = dir / "merged";
    ASSERT_EQ(::mount("overlay", merged.c_str(), "overlay", 0, options.c_str()), 0);
    with_share([this, &merged](OpenShare& s) -> Awaitable<> {
        RootWatch watch(co_await asio::this_coro::executor);
        ContainerStorage storage = container("box");
        storage.rootfs = merged;
        storage.root_watch = watch.fd();
        const SharedNames names = co_await s.share.add_container(storage, soon());
        EXPECT_EQ(names.watched_root, std::filesystem::canonical(merged));

        const std::filesystem::path seen = s.roots.view(names.rootfs);
        EXPECT_EQ(try_write(seen / "etc/by-the-guest"), 0);
        EXPECT_EQ(try_write(merged / "etc/by-the-host"), 0);
        EXPECT_EQ(try_write(merged / "etc/file"), 0);
        const auto next = [&]() { return watch.next(names.watched_root); };
        EXPECT_THAT(co_await next(), ElementsAre("etc/by-the-host", "etc/file"));
        EXPECT_EQ(try_write(seen / "etc/by-the-guest"), 0);
        write_with_root(merged, "/etc/by-docker");
        EXPECT_THAT(co_await next(), ElementsAre("etc/by-docker"));
        co_await s.share.remove_container("box", soon());
    });
    ASSERT_EQ(::umount(merged.c_str()), 0);
}

TEST_F(ShareTest, WatchesNoDirectoryThatHoldsMoreThanTheContainer) {
    with_share([this](OpenShare& s) -> Awaitable<> {
        RootWatch watch(co_await asio::this_coro::executor);
        ContainerStorage storage = container("box");
        storage.root_watch = watch.fd();
        const SharedNames names = co_await s.share.add_container(storage, soon());
        EXPECT_EQ(names.watched_root, "");
        co_await s.share.remove_container("box", soon());
    });
}

TEST(RootWatchTest, NamesFilesBelowTheRoot) {
    EXPECT_EQ(name_below("/var/lib/merged/etc/file", "/var/lib/merged"), "etc/file");
    EXPECT_EQ(name_below("/etc/file", "/var/lib/merged"), "etc/file");
    EXPECT_EQ(name_below("/var/lib/merged2/file", "/var/lib/merged"), "var/lib/merged2/file");
    EXPECT_EQ(name_below("", "/var/lib/merged"), "");
}

TEST_F(ShareTest, ShowsRootAndVolumesToTheServersAndNothingOnTheHost) {
    with_share([this](OpenShare& s) -> Awaitable<> {
        const auto before = read_mountinfo().size();
        ContainerStorage storage = container("box");
        storage.volumes = {{dir / "volume"}, {dir / "resolv.conf"}};
        storage.volumes[1].read_only = true;
        const SharedNames names = co_await s.share.add_container(storage, soon());
        const auto root = s.roots.view(names.rootfs);
        const auto volume = s.volumes.view(names.volumes.at(0));
        const auto file = s.volumes.view(names.volumes.at(1));
        EXPECT_EQ(content(root / "etc/hostname"), "box\n");
        EXPECT_EQ(content(volume / "file"), "text");
        EXPECT_EQ(content(file), "nameserver");
        EXPECT_EQ(try_write(volume / "new"), 0);
        EXPECT_EQ(try_write(file), EROFS);
        EXPECT_EQ(try_write(root / "new"), 0);
        EXPECT_EQ(try_write(s.roots.view("new")), EROFS);
        EXPECT_EQ(try_write(file.parent_path() / "new"), EROFS);
        EXPECT_EQ(read_mountinfo().size(), before);
        EXPECT_TRUE(std::filesystem::is_empty(dir / "share"));

        co_await s.share.remove_container("box", soon());
        co_await s.share.remove_container("box", soon());
        EXPECT_TRUE(std::filesystem::is_empty(s.roots.view("")));
        EXPECT_TRUE(std::filesystem::is_empty(s.volumes.view("")));
        EXPECT_EQ(content(dir / "resolv.conf"), "nameserver");
        EXPECT_EQ(log.text(), "");
    });
}

TEST_F(ShareTest, ClosesEveryMountThatItShows) {
    mount_tmpfs(dir / "volume");
    mount_tmpfs(dir / "volume/below");
    std::filesystem::create_symlink("/", dir / "volume/link");
    with_share([this](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        storage.volumes = {{dir / "volume"}, {dir / "resolv.conf"}};
        const SharedNames names = co_await s.share.add_container(storage, soon());
        constexpr unsigned long closed = ST_NOSUID | ST_NODEV | ST_NOEXEC | 0x2000; // nosymfollow
        for (const auto& path :
             {s.roots.view(names.rootfs),
              s.volumes.view(names.volumes.at(0)),
              s.volumes.view(names.volumes.at(0) + "/below"),
              s.volumes.view(names.volumes.at(1))}) {
            struct statvfs status{};
            EXPECT_EQ(::statvfs(path.c_str(), &status), 0) << path;
            EXPECT_EQ(status.f_flag & closed, closed) << path;
        }
        const auto link = s.volumes.view(names.volumes.at(0) + "/link/etc");
        EXPECT_EQ(::access(link.c_str(), F_OK), -1);
        EXPECT_EQ(errno, ELOOP);
    });
}

TEST_F(ShareTest, MountsTheRootFileSystemThatContainerdDescribes) {
    make_dir("upper");
    make_dir("work");
    with_share([this](OpenShare& s) -> Awaitable<> {
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
        const SharedNames names = co_await s.share.add_container(storage, soon());
        EXPECT_EQ(content(s.roots.view(names.rootfs + "/etc/hostname")), "box\n");
        EXPECT_EQ(try_write(s.roots.view(names.rootfs + "/new")), 0);
        EXPECT_TRUE(std::filesystem::exists(dir / "upper/new"));
    });
}

TEST_F(ShareTest, ShowsOneSourceOnceToAllContainers) {
    with_share([this](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("a");
        storage.volumes = {{dir / "volume"}, {dir / "volume"}};
        storage.volumes[0].read_only = true;
        storage.volumes[1].read_only = true;
        const SharedNames a = co_await s.share.add_container(storage, soon());
        storage.container_id = "b";
        storage.volumes = {{dir / "volume"}};
        EXPECT_EQ(try_write(s.volumes.view(a.volumes.at(0) + "/new")), EROFS);
        const SharedNames b = co_await s.share.add_container(storage, soon());
        EXPECT_EQ(a.volumes.at(0), a.volumes.at(1));
        EXPECT_EQ(a.volumes.at(0), b.volumes.at(0));
        EXPECT_NE(a.rootfs, b.rootfs);
        // Now somebody may write; for "a" it is the guest's own mounts that do not.
        EXPECT_EQ(try_write(s.volumes.view(a.volumes.at(0) + "/new")), 0);
        co_await s.share.remove_container("b", soon());
        EXPECT_EQ(try_write(s.volumes.view(a.volumes.at(0) + "/other")), EROFS);
        co_await s.share.remove_container("a", soon());
        EXPECT_TRUE(std::filesystem::is_empty(s.volumes.view("")));
        const SharedNames again = co_await s.share.add_container(storage, soon());
        EXPECT_NE(again.volumes.at(0), b.volumes.at(0));
    });
}

TEST_F(ShareTest, KeepsTheHostsMountsBelowAVolume) {
    mount_tmpfs(dir / "volume");
    ASSERT_EQ(::mount(nullptr, (dir / "volume").c_str(), nullptr, MS_SHARED, nullptr), 0);
    mount_tmpfs(dir / "volume/below");
    dir.write("volume/below/file", "text");
    with_share([this](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        storage.volumes = {{dir / "volume"}, {dir / "volume"}};
        storage.volumes[1].propagate = true;
        const SharedNames names = co_await s.share.add_container(storage, soon());
        for (const auto& name : names.volumes) {
            EXPECT_EQ(content(s.volumes.view(name + "/below/file")), "text");
        }
        co_await s.share.remove_container("box", soon());
        EXPECT_EQ(content(dir / "volume/below/file"), "text");
        co_await s.share.add_container(storage, soon());
    }); // they go with the servers as well
    EXPECT_EQ(content(dir / "volume/below/file"), "text");
    EXPECT_EQ(mounts_at(dir / "volume"), 2u);
}

TEST_F(ShareTest, ShowsWhatTheHostMountsLaterOnlyWherePropagationIsAsked) {
    mount_tmpfs(dir / "volume");
    ASSERT_EQ(::mount(nullptr, (dir / "volume").c_str(), nullptr, MS_SHARED, nullptr), 0);
    with_share([this](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        storage.volumes = {{dir / "volume"}, {dir / "volume"}};
        storage.volumes[1].propagate = true;
        const SharedNames names = co_await s.share.add_container(storage, soon());
        mount_tmpfs(dir / "volume/later");
        dir.write("volume/later/file", "text");
        const auto without = s.volumes.view(names.volumes.at(0) + "/later/file");
        EXPECT_FALSE(std::filesystem::exists(without));
        EXPECT_EQ(content(s.volumes.view(names.volumes.at(1) + "/later/file")), "text");
        // The host can undo it while the container has it, and nothing keeps it.
        EXPECT_EQ(::umount2((dir / "volume/later").c_str(), 0), 0);
        EXPECT_FALSE(std::filesystem::exists(s.volumes.view(names.volumes.at(1) + "/later/file")));
    });
}

TEST_F(ShareTest, MakesVolumesReadOnlyAsDeepAsAsked) {
    mount_tmpfs(dir / "volume/below");
    with_share([this](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        storage.volumes = {{dir / "volume"}, {dir / "volume"}, {dir / "volume"}};
        storage.volumes[0].read_only = true;
        storage.volumes[1].recursive_read_only = true;
        storage.volumes[2].recursive = false;
        const SharedNames names = co_await s.share.add_container(storage, soon());
        const auto view = [&](std::size_t volume, const char* path) {
            return s.volumes.view(names.volumes.at(volume) + path);
        };
        EXPECT_EQ(try_write(view(0, "/new")), EROFS);
        EXPECT_EQ(try_write(view(0, "/below/new")), 0);
        EXPECT_EQ(try_write(view(1, "/new")), EROFS);
        EXPECT_EQ(try_write(view(1, "/below/other")), EROFS);
        EXPECT_EQ(try_write(view(2, "/new")), 0);
        EXPECT_FALSE(std::filesystem::exists(view(2, "/below/new")));
    });
}

TEST_F(ShareTest, NamesMountsBelowAVolumeThatDiffer) {
    mount_tmpfs(dir / "volume");
    mount_tmpfs(dir / "volume/b");
    mount_tmpfs(dir / "volume/b/deep");
    mount_tmpfs(dir / "volume/a b\n\\\xff");
    mount_tmpfs(dir / "volume/hidden");
    mount_tmpfs(dir / "volume/hidden/below");
    mount_tmpfs(dir / "volume/hidden"); // over both
    dir.write("volume/file", "text");
    bind(dir / "resolv.conf", dir / "volume/file");
    with_share([this](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        // The same source again, one that has nothing below, a file, and one that does not differ.
        storage.volumes = {
            {dir / "volume"}, {dir / "volume"}, {dir / "image"}, {dir / "resolv.conf"}
        };
        for (VolumeSpec& volume : storage.volumes) {
            volume.read_only = true;
            volume.differs_below = true;
        }
        storage.volumes.push_back({.source = dir / "volume", .propagate = true});
        const SharedNames names = co_await s.share.add_container(storage, soon());
        const std::string top = names.volumes.at(0) + "/";
        EXPECT_THAT(
            names.submounts,
            ElementsAre(
                top + "a b\n\\\xff", top + "b", top + "b/deep", top + "file", top + "hidden"
            )
        );
        EXPECT_EQ(log.text(), "");
        // Also to a container that comes later and finds the volume attached.
        storage.container_id = "other";
        EXPECT_EQ((co_await s.share.add_container(storage, soon())).submounts, names.submounts);
    });
}

TEST_F(ShareTest, GoesOnWithoutAMountBelowAVolumeThatHangs) {
    mount_tmpfs(dir / "volume");
    mount_tmpfs(dir / "volume/a");
    make_dir("volume/b");
    const HungFileSystem hung(dir / "volume/b");
    with_share([this, &hung](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        storage.volumes = {{.source = dir / "volume", .read_only = true, .differs_below = true}};
        const SharedNames names = co_await s.share.add_container(storage, soon());
        EXPECT_THAT(names.submounts, ElementsAre(names.volumes.at(0) + "/a"));
        EXPECT_THAT(
            log.text(),
            AllOf(
                HasSubstr("mounted below a volume may get the volume's flags"),
                HasSubstr("look at " + hung.path()),
                HasSubstr("timed out")
            )
        );
        co_await s.share.remove_container("box", soon());
    });
}

TEST_F(ShareTest, NamesNoMoreMountsBelowVolumesThanTheGuestCanHave) {
    mount_tmpfs(dir / "volume");
    for (int i = 0; i < 1025; ++i) {
        const auto place = dir / ("volume/" + std::to_string(i));
        dir.write("volume/" + std::to_string(i), "");
        bind(dir / "resolv.conf", place);
    }
    with_share([this](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        storage.volumes = {{.source = dir / "volume", .read_only = true, .differs_below = true}};
        const SharedNames names = co_await s.share.add_container(storage, soon());
        EXPECT_EQ(names.submounts.size(), 1024u);
        EXPECT_THAT(log.text(), HasSubstr("more than 1024"));
    });
}

TEST_F(ShareTest, LeavesNothingOfAContainerThatFailsAtAnyStep) {
    with_share([this](OpenShare& s) -> Awaitable<> {
        for (std::size_t bad = 0; bad < 4; ++bad) {
            ContainerStorage storage = container("box");
            storage.volumes = {{dir / "volume"}, {dir / "resolv.conf"}, {dir / "volume"}};
            const std::string missing = dir / "missing";
            (bad == 0 ? storage.rootfs : storage.volumes[bad - 1].source) = missing;
            const std::string error = co_await failure_of(s.share.add_container(storage, soon()));
            EXPECT_THAT(
                error,
                AllOf(
                    HasSubstr("prepare storage of container box: "),
                    HasSubstr(missing + ": No such file")
                )
            );
        }
        ContainerStorage storage = container("box");
        storage.rootfs_mounts = {{"tmpfs", "tmpfs", "", {}}, {"nofs", "none", "", {}}};
        EXPECT_THAT(co_await failure_of(s.share.add_container(storage, soon())), HasSubstr("nofs"));
        EXPECT_TRUE(std::filesystem::is_empty(s.roots.view("")));
        EXPECT_TRUE(std::filesystem::is_empty(s.volumes.view("")));
        co_await s.share.add_container(container("box"), soon());
        EXPECT_THAT(
            co_await failure_of(s.share.add_container(container("box"), soon())),
            HasSubstr("already has storage")
        );
    });
}

TEST_F(ShareTest, IsNotHeldUpByAVolumeThatDoesNotAnswer) {
    const HungFileSystem hung(make_dir("hung"));
    with_share([&](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        storage.volumes = {{dir / "volume"}, {hung.path()}};
        const std::string error = co_await failure_of(
            s.share.add_container(storage, deadline_in(std::chrono::milliseconds(500)))
        );
        EXPECT_THAT(
            error,
            AllOf(HasSubstr("container box"), HasSubstr("bind " + hung.path() + ": timed out"))
        );
        co_await s.share.add_container(container("other"), soon());
        co_await s.share.remove_container("other", soon());
        EXPECT_TRUE(std::filesystem::is_empty(s.volumes.view("")));
    });
}

TEST_F(ShareTest, GivesUpWhatIsUnderWayWhenItIsStopped) {
    const HungFileSystem hung(make_dir("hung"));
    with_share([&](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        storage.volumes = {{hung.path()}};
        auto executor = co_await asio::this_coro::executor;
        asio::post(executor, [&] { s.share.stop(); });
        EXPECT_THAT(
            co_await failure_of(s.share.add_container(storage, no_deadline)),
            HasSubstr("was killed")
        );
        EXPECT_THAT(
            co_await failure_of(s.share.add_container(container("other"), soon())),
            HasSubstr("stopping")
        );
    });
}

TEST_F(ShareTest, WarnsOfWhatIsOnlyANameInAGuest) {
    const std::string fifo = dir / "fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    with_share([&](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        storage.volumes = {{fifo}, {"/dev/null"}};
        const SharedNames names = co_await s.share.add_container(storage, soon());
        EXPECT_TRUE(log.has("source=" + fifo + " kind=fifo")) << log.text();
        EXPECT_TRUE(log.has("source=/dev/null kind=device")) << log.text();
        EXPECT_TRUE(std::filesystem::is_fifo(s.volumes.view(names.volumes.at(0))));
    });
}

TEST_F(ShareTest, RefusesASocketOfTheHost) {
    const std::string path = dir / "sock";
    const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    with_share([&](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        storage.volumes = {{path}};
        EXPECT_THAT(
            co_await failure_of(s.share.add_container(storage, soon())),
            AllOf(HasSubstr(path), HasSubstr("sockets.host_to_guest"))
        );
        storage.volumes.clear();
        co_await s.share.add_container(storage, soon());
    });
}

TEST_F(ShareTest, RefusesANamespaceThatIsNotAShare) {
    testing::co_test([](std::filesystem::path directory, ContainerStorage storage) -> Awaitable<> {
        Share share(co_await asio::this_coro::executor, directory, Logger());
        share.open({::getpid(), ::getpid()});
        EXPECT_THAT(
            co_await failure_of(share.add_container(storage, soon())),
            HasSubstr("it is not the root of virtiofsd's mount namespace")
        );
    }(dir / "share", container("box")));
    EXPECT_EQ(mounts_at(dir.path()), 1u);
}

TEST_F(ShareTest, FailsWithoutATraceWhereItCannotBe) {
    asio::io_context loop;
    EXPECT_THAT(
        error_of([&] { Share share(loop.get_executor(), dir / "no/parent", log.logger()); }),
        HasSubstr((dir / "no/parent").native())
    );
    const auto file = dir.write("file", "text");
    EXPECT_THAT(
        error_of([&] { Share share(loop.get_executor(), file, log.logger()); }),
        HasSubstr(file.native())
    );
    EXPECT_EQ(content(file), "text");
}

/// The owner of a file.
uid_t owner(const std::filesystem::path& path) {
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_uid;
}

class IdMappedShareTest : public ShareTest {
  protected:
    void SetUp() override {
        ShareTest::SetUp();
        if (!IsSkipped() && !can_map_tmpfs()) {
            GTEST_SKIP() << "needs a kernel that can id-map tmpfs (Linux 6.3)";
        }
    }

    VolumeSpec mapped(bool recursive) const {
        return {
            .source = dir / "volume",
            .id_map = {{{0, 100000, 10}}, {{0, 200000, 10}}},
            .recursive_id_map = recursive
        };
    }
};

TEST_F(IdMappedShareTest, ShowsOwnersByTheMappingsOfEachVolume) {
    with_share([this](OpenShare& s) -> Awaitable<> {
        EXPECT_EQ(::chown((dir / "volume/file").c_str(), 5, 5), 0);
        ContainerStorage storage = container("box");
        storage.volumes = {mapped(false), {dir / "volume"}, mapped(false)};
        const SharedNames names = co_await s.share.add_container(storage, soon());
        EXPECT_NE(names.volumes.at(0), names.volumes.at(1));
        EXPECT_EQ(names.volumes.at(0), names.volumes.at(2));
        EXPECT_EQ(owner(s.volumes.view(names.volumes.at(0))), 100000U);
        EXPECT_EQ(owner(s.volumes.view(names.volumes.at(0)) / "file"), 100005U);
        EXPECT_EQ(owner(s.volumes.view(names.volumes.at(1)) / "file"), 5U);
        // Another container has the same one, and what it owns there is its root's on the host.
        storage = container("other");
        storage.volumes = {mapped(false)};
        const SharedNames others = co_await s.share.add_container(storage, soon());
        EXPECT_EQ(others.volumes.at(0), names.volumes.at(0));
        const auto file = s.volumes.view(others.volumes.at(0)) / "file";
        EXPECT_EQ(::chown(file.c_str(), 100000, 200000), 0);
        EXPECT_EQ(owner(dir / "volume/file"), 0U);
        co_await s.share.remove_container("box", soon());
        EXPECT_EQ(owner(file), 100000U);
        co_await s.share.remove_container("other", soon());
        EXPECT_TRUE(std::filesystem::is_empty(s.volumes.view("")));
    });
}

TEST_F(IdMappedShareTest, MapsMountsBelowOnlyWhereAskedTo) {
    mount_tmpfs(dir / "volume/below");
    with_share([this](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        storage.volumes = {mapped(false), mapped(true)};
        const SharedNames names = co_await s.share.add_container(storage, soon());
        EXPECT_NE(names.volumes.at(0), names.volumes.at(1));
        EXPECT_EQ(owner(s.volumes.view(names.volumes.at(0)) / "below"), 0U);
        EXPECT_EQ(owner(s.volumes.view(names.volumes.at(1)) / "below"), 100000U);
        co_await s.share.remove_container("box", soon());
    });
}

TEST_F(IdMappedShareTest, SaysWhichVolumeCannotBeMapped) {
    with_share([this](OpenShare& s) -> Awaitable<> {
        ContainerStorage storage = container("box");
        storage.volumes = {mapped(false)};
        storage.volumes[0].source = "/proc/sys";
        const std::string text = co_await failure_of(s.share.add_container(storage, soon()));
        EXPECT_THAT(
            text,
            AllOf(HasSubstr("box"), HasSubstr("id-map /proc/sys: the host's kernel cannot do that"))
        );
        EXPECT_TRUE(std::filesystem::is_empty(s.volumes.view("")));
    });
}

} // namespace
} // namespace cppvm::storage
