#include "common/async/event.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "host/storage/share.hpp"
#include "host/watches/volume_watches.hpp"
#include "tests/integration/host/mount_fixture.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/fake_share_server.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <functional>
#include <map>
#include <sys/inotify.h>
#include <sys/stat.h>

namespace cppvm::watches {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Change = agent::v2::ReplayRequest::Change;

constexpr std::chrono::seconds patience{10};

/// A share with the volume "1", and what the guest is told.
struct Guest {
    Guest(const asio::any_io_executor& executor, const fs::path& dir, Logger logger)
        : share(executor, dir, logger), roots(dir), volumes(dir), news(executor),
          watches(
              executor,
              logger,
              [this] { return share.volumes_namespace(); },
              [this](agent::v2::ReplayRequest request) { return tell(std::move(request)); }
          ) {
        share.open({roots.pid(), volumes.pid()});
    }

    Awaitable<> tell(agent::v2::ReplayRequest request) {
        EXPECT_EQ(request.number(), ++last_number);
        if (fails) {
            news.set();
            throw Error(Code::unavailable, "tell the guest: it does not answer");
        }
        for (const auto& begun : request.begun()) {
            errors[begun.watch()] = begun.error();
        }
        for (const Change& change : request.changes()) {
            changes.push_back(change);
        }
        news.set();
        co_return;
    }

    Awaitable<> until(std::function<bool()> condition) {
        const Deadline deadline = deadline_in(patience);
        while (!condition()) {
            news.clear();
            co_await with_timeout(news.wait(), deadline, "wait for the watches");
        }
    }

    /// Gives the error.
    Awaitable<int> watch(std::uint64_t number, std::string path, const fs::path& file) {
        agent::v2::Event::WatchWanted wanted;
        wanted.set_watch(number);
        wanted.set_path(std::move(path));
        struct stat status{};
        ::lstat(file.c_str(), &status);
        wanted.set_inode(status.st_ino);
        watches.want(wanted);
        co_await until([&] { return errors.contains(number); });
        co_return errors.at(number);
    }

    void drop(std::uint64_t number) {
        agent::v2::Event::WatchUnwanted unwanted;
        unwanted.add_watches(number);
        watches.drop(unwanted);
    }

    storage::Share share;
    testing::FakeShareServer roots;
    testing::FakeShareServer volumes;
    Event news;
    std::map<std::uint64_t, int> errors;
    std::vector<Change> changes;
    std::uint64_t last_number = 0;
    bool fails = false;
    VolumeWatches watches;
};

/// "<watch> <mask in hexadecimal> <name>", and "=" at the second half of a move.
std::vector<std::string> texts(const std::vector<Change>& changes) {
    std::vector<std::string> result;
    std::uint32_t cookie = 0;
    for (const Change& change : changes) {
        std::ostringstream text;
        text << change.watch() << " " << std::hex << change.mask() << " " << change.name();
        if (change.cookie() != 0 && change.cookie() == cookie) {
            text << " =";
        }
        cookie = change.cookie();
        result.push_back(text.str());
    }
    return result;
}

std::size_t inotify_instances() {
    std::size_t count = 0;
    for (const auto& fd : fs::directory_iterator("/proc/self/fd")) {
        std::error_code error;
        count += fs::read_symlink(fd.path(), error) == "anon_inode:inotify" ? 1 : 0;
    }
    return count;
}

class VolumeWatchesTest : public storage::MountTest {
  protected:
    void SetUp() override {
        MountTest::SetUp();
        if (!IsSkipped()) {
            dir.write("image/etc/hostname", "box\n");
            dir.write("volume/file", "text");
            dir.write("volume/sub/file", "text");
            dir.write("single", "text");
        }
    }

    fs::path volume() const { return dir / "volume"; }

    void with_guest(std::function<Awaitable<>(Guest&)> body) {
        testing::co_test([](VolumeWatchesTest* test, auto run) -> Awaitable<> {
            const auto executor = co_await asio::this_coro::executor;
            Guest guest(executor, test->dir / "share", test->log.logger());
            storage::ContainerStorage storage;
            storage.container_id = "c1";
            storage.rootfs = test->dir / "image";
            storage.volumes = {
                {test->volume(), true, true, {}}, {test->dir / "single", true, true, {}}
            };
            const auto names = co_await guest.share.add_container(storage, deadline_in(patience));
            EXPECT_THAT(names.volumes, ElementsAre("2", "3/file"));
            co_await run(guest);
            co_await guest.watches.stop();
        }(this, std::move(body)));
        EXPECT_EQ(inotify_instances(), 0U);
    }
};

TEST_F(VolumeWatchesTest, TellsWhatHappensInItsOrder) {
    with_guest([this](Guest& guest) -> Awaitable<> {
        EXPECT_EQ(co_await guest.watch(1, "2", volume()), 0);
        EXPECT_EQ(co_await guest.watch(2, "2/sub", volume() / "sub"), 0);
        EXPECT_EQ(co_await guest.watch(3, "3/file", dir / "single"), 0);
        fs::rename(volume() / "file", volume() / "sub/moved");
        fs::create_directory(volume() / "new");
        std::ofstream(dir / "single", std::ios::app) << "more" << std::flush;
        fs::remove(volume() / "sub/moved");
        fs::remove_all(volume() / "sub");
        co_await guest.until([&] {
            return !guest.changes.empty() && guest.changes.back().name() == "sub";
        });
        EXPECT_THAT(
            texts(guest.changes),
            ElementsAre(
                "1 40 file",
                "2 80 moved =",
                "1 40000100 new",
                "3 2 ",
                "3 8 ",
                "2 200 moved",
                "2 200 file",
                "2 400 ",
                "2 8000 ",
                "1 40000200 sub"
            )
        );
    });
}

TEST_F(VolumeWatchesTest, HoldsNoDirectoryThatItWatches) {
    with_guest([this](Guest& guest) -> Awaitable<> {
        EXPECT_EQ(co_await guest.watch(1, "2/sub", volume() / "sub"), 0);
        fs::remove_all(volume() / "sub");
        co_await guest.until([&] { return guest.changes.size() == 3; });
        EXPECT_THAT(texts(guest.changes), ElementsAre("1 200 file", "1 400 ", "1 8000 "));
    });
}

TEST_F(VolumeWatchesTest, HasNothingWhileNothingIsWatched) {
    with_guest([this](Guest& guest) -> Awaitable<> {
        EXPECT_EQ(inotify_instances(), 0U);
        EXPECT_EQ(co_await guest.watch(1, "2", volume()), 0);
        EXPECT_EQ(inotify_instances(), 1U);
        guest.drop(1);
        EXPECT_EQ(inotify_instances(), 0U);
        EXPECT_EQ(co_await guest.watch(2, "2/sub", volume() / "sub"), 0);
        fs::create_directory(volume() / "unheard");
        fs::create_directory(volume() / "sub/heard");
        co_await guest.until([&] { return !guest.changes.empty(); });
        EXPECT_THAT(texts(guest.changes), ElementsAre("2 40000100 heard"));
    });
}

TEST_F(VolumeWatchesTest, FollowsThePathsOfTheGuestNowhereElse) {
    fs::create_symlink("/", volume() / "link");
    with_guest([this](Guest& guest) -> Awaitable<> {
        EXPECT_EQ(co_await guest.watch(1, "../proc", "/proc"), EXDEV);
        EXPECT_EQ(co_await guest.watch(2, "/", "/"), EXDEV);
        EXPECT_EQ(co_await guest.watch(3, "2/link/etc", "/etc"), ELOOP);
        EXPECT_EQ(co_await guest.watch(4, "", "/"), ENOENT);
        EXPECT_EQ(co_await guest.watch(5, "2/missing", volume()), ENOENT);
        EXPECT_EQ(co_await guest.watch(6, "2/file", volume()), ESTALE);
        EXPECT_EQ(co_await guest.watch(7, "2/link", volume() / "link"), 0); // the link itself
        EXPECT_EQ(co_await guest.watch(7, "2/sub", volume() / "sub"), 0);   // its first answer
        EXPECT_EQ(co_await guest.watch(8, std::string(5000, 'x'), "/"), ENOSPC);
    });
    EXPECT_THAT(log.text(), HasSubstr("Containers do not hear of all changes to volumes"));
}

TEST_F(VolumeWatchesTest, GoesOnWhereTheGuestTakesNoNote) {
    with_guest([this](Guest& guest) -> Awaitable<> {
        EXPECT_EQ(co_await guest.watch(1, "2", volume()), 0);
        guest.fails = true;
        const std::uint64_t told = guest.last_number;
        fs::create_directory(volume() / "lost");
        co_await guest.until([&] { return guest.last_number > told; });
        guest.fails = false;
        fs::create_directory(volume() / "heard");
        co_await guest.until([&] { return !guest.changes.empty(); });
        EXPECT_THAT(texts(guest.changes), ElementsAre("1 40000100 heard"));
    });
    EXPECT_THAT(log.text(), HasSubstr("tell the guest: it does not answer"));
}

TEST_F(VolumeWatchesTest, RefusesMoreThanThereMayBe) {
    with_guest([this](Guest& guest) -> Awaitable<> {
        for (std::uint64_t number = 1; number <= 5000; ++number) {
            agent::v2::Event::WatchWanted wanted;
            wanted.set_watch(number);
            wanted.set_path("2/missing");
            guest.watches.want(wanted);
        }
        agent::v2::Event::WatchUnwanted unwanted; // all that wait but the first
        for (std::uint64_t number = 2; number < 5000; ++number) {
            unwanted.add_watches(number);
        }
        guest.watches.drop(unwanted);
        co_await guest.until([&] { return guest.errors.contains(1) && guest.errors.contains(5000); }
        );
        EXPECT_EQ(guest.errors.at(1), ENOENT);
        EXPECT_EQ(guest.errors.at(5000), ENOSPC);
        EXPECT_EQ(co_await guest.watch(5001, "2", volume()), 0);
    });
}

} // namespace
} // namespace cppvm::watches
