// Watches of containers on files of volumes, of which the host tells what happens to them.

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <csignal>
#include <optional>
#include <sys/inotify.h>
#include <sys/stat.h>

namespace cppvm::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Change = agent::v2::ReplayRequest::Change;
using Wanted = agent::v2::Event::WatchWanted;

/// A watcher in container "c1", and the host's side of it.
class Watcher {
  public:
    explicit Watcher(HostSide& host) : host_(host) {}

    Awaitable<> start(Json spec) {
        auto [output_id, output] = co_await host_.open_stream();
        auto [input_id, input] = co_await host_.open_stream();
        output_.emplace(std::move(output));
        input_.emplace(std::move(input));
        agent::v2::Stdio stdio;
        stdio.set_stdout_stream(output_id);
        stdio.set_stdin_stream(input_id);
        co_await host_.create("c1", std::move(spec), stdio);
        events_ = co_await host_.rpc().events({});
        co_await host_.start("c1");
    }

    Awaitable<agent::v2::Event> next_event() {
        for (;;) {
            const auto event = co_await events_->receive();
            if (!event) {
                throw Error(Code::unavailable, "no more events");
            }
            if (event->has_watch_wanted() || event->has_watch_unwanted()) {
                co_return *event;
            }
        }
    }

    /// The next file that it wants watched; the host watches it, or cannot.
    Awaitable<Wanted> begin(int error = 0) {
        const agent::v2::Event event = co_await next_event();
        agent::v2::ReplayRequest request;
        request.set_number(++last_replay_);
        auto* const begun = request.add_begun();
        begun->set_watch(event.watch_wanted().watch());
        begun->set_error(error);
        co_await host_.rpc().replay(request);
        co_return event.watch_wanted();
    }

    Awaitable<> replay(std::vector<Change> changes) {
        agent::v2::ReplayRequest request;
        request.set_number(++last_replay_);
        for (Change& change : changes) {
            *request.add_changes() = std::move(change);
        }
        co_await host_.rpc().replay(request);
        co_await host_.rpc().replay(request); // as after a lost connection: of no effect
    }

    /// The next lines that it prints.
    Awaitable<std::vector<std::string>> lines(std::size_t count) {
        std::vector<std::string> lines;
        while (lines.size() < count) {
            const std::size_t end = text_.find('\n');
            if (end == std::string::npos) {
                text_ += co_await with_timeout(
                    read_frame(*output_), deadline_in(std::chrono::seconds(20)), "read a line"
                );
                continue;
            }
            lines.push_back(text_.substr(0, end));
            text_.erase(0, end + 1);
        }
        co_return lines;
    }

    Awaitable<> write(std::string line) { co_await write_stream(*input_, line + "\n"); }

    Awaitable<> kill() {
        killed_ = true;
        co_await host_.signal("c1", SIGKILL);
    }

    Awaitable<> end() {
        events_.reset();
        if (!killed_) {
            co_await kill();
        }
        co_await host_.wait("c1");
        co_await host_.remove("c1");
    }

  private:
    HostSide& host_;
    std::optional<StreamSocket> output_;
    std::optional<StreamSocket> input_;
    std::optional<ttrpc::ReplyReader<agent::v2::Event>> events_;
    std::string text_;
    std::uint64_t last_replay_ = 0;
    bool killed_ = false;
};

Change change(std::uint64_t watch, std::uint32_t mask, const char* name, std::uint32_t cookie = 0) {
    Change change;
    change.set_watch(watch);
    change.set_mask(mask);
    change.set_name(name);
    change.set_cookie(cookie);
    return change;
}

class AgentWatchTest : public AgentTest {
  protected:
    AgentWatchTest() {
        fs::create_directories(volume() / "sub");
        write_file_atomically(volume() / "file", "text", 0644);
        fs::copy_file(CPPVM_TEST_WATCHER, agent.share() / "c1/rootfs/bin/watcher");
    }

    fs::path volume() const { return agent.share() / "volumes/1"; }

    /// The process that serves the shadow's file system, and its parent, which has that mounted.
    std::pair<pid_t, pid_t> shadow() const {
        for (const auto& [pid, parent] : agent.descendants()) {
            std::error_code gone;
            for (fs::directory_iterator fd("/proc/" + std::to_string(pid) + "/fd", gone), end;
                 !gone && fd != end;
                 fd.increment(gone)) {
                std::error_code closed;
                if (fs::read_symlink(fd->path(), closed) == "/dev/fuse") {
                    return {pid, parent};
                }
            }
        }
        return {};
    }

    /// Kills a process of the shadow's: whoever watches hears that, and can watch again.
    void expect_to_hear_of_its_end(std::function<pid_t()> victim) {
        with_watcher({"fff", "/v"}, [&victim](Watcher& w, HostSide&) -> Awaitable<> {
            const Wanted lost = co_await w.begin();
            EXPECT_THAT(co_await w.lines(1), ElementsAre("ready"));
            EXPECT_EQ(::kill(victim(), SIGKILL), 0);
            EXPECT_THAT(co_await w.lines(2), ElementsAre("/v unmount,isdir", "/v ignored"));
            const auto event = co_await w.next_event();
            EXPECT_THAT(event.watch_unwanted().watches(), ElementsAre(lost.watch()));
            co_await w.write("add /v/sub");
            const Wanted next = co_await w.begin();
            EXPECT_THAT(co_await w.lines(1), ElementsAre("added"));
            co_await w.replay({change(next.watch(), IN_CREATE, "x")});
            EXPECT_THAT(co_await w.lines(1), ElementsAre("/v/sub create x"));
        });
    }

    Json spec(std::vector<std::string> args) const {
        Json spec = make_spec(agent, "c1", std::move(args));
        spec["mounts"].push_back(
            {{"destination", "/v"},
             {"type", "bind"},
             {"source", volume().native()},
             {"options", {"rbind", "rw"}}}
        );
        return spec;
    }

    void with_watcher(
        std::vector<std::string> args, std::function<Awaitable<>(Watcher&, HostSide&)> body
    ) {
        args.insert(args.begin(), "/bin/watcher");
        run_test([this, &args, &body](HostSide& host) -> Awaitable<> {
            Watcher watcher(host);
            co_await watcher.start(spec(args));
            co_await body(watcher, host);
            co_await watcher.end();
        });
    }
};

TEST_F(AgentWatchTest, TellsWhatTheHostTells) {
    with_watcher({"fff", "/v"}, [this](Watcher& watcher, HostSide&) -> Awaitable<> {
        const Wanted wanted = co_await watcher.begin();
        EXPECT_EQ(wanted.path(), "1");
        struct stat status{};
        EXPECT_EQ(::stat(volume().c_str(), &status), 0);
        EXPECT_EQ(wanted.inode(), status.st_ino);
        EXPECT_THAT(co_await watcher.lines(1), ElementsAre("ready"));
        const std::uint64_t v = wanted.watch();
        co_await watcher.replay(
            {change(v, IN_CREATE, "new"),
             change(v, IN_MODIFY, "new"),
             change(v, IN_CLOSE_WRITE, "new"),
             change(v, IN_ATTRIB, "new"),
             change(v, IN_MOVED_FROM, "new", 7),
             change(v, IN_MOVED_TO, "old", 7),
             change(v, IN_CREATE | IN_ISDIR, "dir"),
             change(v, IN_ATTRIB | IN_ISDIR, "dir"),
             change(v, IN_MOVED_FROM | IN_ISDIR, "dir", 8),
             change(v, IN_MOVED_TO, "came", 9),
             change(v, IN_DELETE, "old"),
             change(v, IN_DELETE | IN_ISDIR, "other"),
             change(v, IN_ATTRIB | IN_ISDIR, ""),
             change(v, IN_MOVE_SELF, ""),
             change(v, IN_CREATE, "after"),
             change(v, IN_DELETE_SELF, "")}
        );
        EXPECT_THAT(
            co_await watcher.lines(17),
            ElementsAre(
                "/v create new",
                "/v modify new",
                "/v close_write new",
                "/v attrib new",
                "/v moved_from new #1",
                "/v moved_to old #1",
                "/v create,isdir dir",
                "/v attrib,isdir dir",
                "/v moved_from,isdir dir #2",
                "/v moved_to came #3",
                "/v delete old",
                "/v delete,isdir other",
                "/v attrib,isdir",
                "/v move_self",
                "/v create after",
                "/v delete_self",
                "/v ignored"
            )
        );
    });
}

TEST_F(AgentWatchTest, WatchesSingleFilesAndMovesBetweenDirectories) {
    fs::create_symlink("file", volume() / "link");
    with_watcher({"fff", "/v/link", "/v", "/v/sub"}, [](Watcher& w, HostSide&) -> Awaitable<> {
        const Wanted file = co_await w.begin();
        EXPECT_EQ(file.path(), "1/file");
        const Wanted top = co_await w.begin();
        const Wanted sub = co_await w.begin();
        EXPECT_EQ(sub.path(), "1/sub");
        EXPECT_THAT(co_await w.lines(1), ElementsAre("ready"));
        co_await w.replay(
            {change(file.watch(), IN_MODIFY, ""),
             change(top.watch(), IN_MODIFY, "file"),
             change(top.watch(), IN_MOVED_FROM, "file", 3),
             change(sub.watch(), IN_MOVED_TO, "file", 3),
             change(file.watch(), IN_MOVE_SELF, ""),
             change(file.watch(), IN_ATTRIB, ""),
             change(sub.watch(), IN_DELETE, "file"),
             change(file.watch(), IN_DELETE_SELF, "")}
        );
        EXPECT_THAT(
            co_await w.lines(9),
            ElementsAre(
                "/v/link modify",
                "/v modify file",
                "/v moved_from file #1",
                "/v/sub moved_to file #1",
                "/v/link move_self",
                "/v/link attrib",
                "/v/sub delete file",
                "/v/link delete_self",
                "/v/link ignored"
            )
        );
    });
}

TEST_F(AgentWatchTest, TellsTheHostWhenNobodyWatchesAnyMore) {
    with_watcher({"fff", "/v", "/v/sub"}, [](Watcher& watcher, HostSide&) -> Awaitable<> {
        co_await watcher.begin();
        const Wanted sub = co_await watcher.begin();
        co_await watcher.lines(1);
        co_await watcher.write("remove /v/sub");
        EXPECT_THAT(co_await watcher.lines(1), ElementsAre("/v/sub ignored"));
        const auto event = co_await watcher.next_event(); // once in a while
        EXPECT_THAT(event.watch_unwanted().watches(), ElementsAre(sub.watch()));
        co_await watcher.kill();
        const auto last = co_await watcher.next_event();
        EXPECT_THAT(last.watch_unwanted().watches(), ElementsAre(1));
    });
}

TEST_F(AgentWatchTest, TellsWhoWatchesThatTheShadowHasGone) {
    expect_to_hear_of_its_end([this] { return shadow().second; });
}

TEST_F(AgentWatchTest, TellsWhoWatchesThatTheShadowsServerHasGone) {
    expect_to_hear_of_its_end([this] { return shadow().first; });
}

TEST_F(AgentWatchTest, LeavesTheCallToTheKernelWhereTheHostCannotWatch) {
    with_watcher({"fff", "/v"}, [this](Watcher& watcher, HostSide&) -> Awaitable<> {
        co_await watcher.begin(ENOSPC);
        EXPECT_THAT(co_await watcher.lines(1), ElementsAre("ready"));
        fs::create_directory(volume() / "seen"); // the real one is watched
        EXPECT_THAT(co_await watcher.lines(1), ElementsAre("/v create,isdir seen"));
    });
}

TEST_F(AgentWatchTest, LeavesOtherCallsAsTheyAre) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const auto said = [&](std::vector<std::string> args) -> Awaitable<std::string> {
            args.insert(args.begin(), "/bin/watcher");
            const RunResult result = co_await host.run("c1", spec(args));
            co_return result.output;
        };
        EXPECT_EQ(co_await said({"fff", "/bin"}), "ready\n");
        EXPECT_EQ(co_await said({"fff", "/v/missing"}), "/v/missing: No such file or directory\n");
        EXPECT_EQ(
            co_await said({"1000fff", "/v/file"}), "/v/file: Not a directory\n" // IN_ONLYDIR
        );
        EXPECT_EQ(co_await said({"20", "/v"}), "ready\n"); // IN_OPEN alone is the machine's own
        EXPECT_EQ(co_await said({"0", "/v"}), "/v: Invalid argument\n");
    });
}

TEST_F(AgentWatchTest, WatchesWithoutPrivileges) {
    fs::permissions(volume() / "sub", fs::perms::owner_all);
    run_test([this](HostSide& host) -> Awaitable<> {
        Json box = spec({"/bin/watcher", "fff", "/v/sub"});
        box["process"]["user"] = {{"uid", 1000}, {"gid", 1000}};
        box["process"]["noNewPrivileges"] = true;
        const RunResult refused = co_await host.run("c1", box);
        EXPECT_EQ(refused.output, "/v/sub: Permission denied\n");

        box["process"]["args"] = {"/bin/watcher", "fff", "/v"};
        Watcher watcher(host);
        co_await watcher.start(box);
        const Wanted wanted = co_await watcher.begin();
        EXPECT_THAT(co_await watcher.lines(1), ElementsAre("ready"));
        co_await watcher.replay({change(wanted.watch(), IN_CREATE, "x")});
        EXPECT_THAT(co_await watcher.lines(1), ElementsAre("/v create x"));
        co_await watcher.end();
    });
}

} // namespace
} // namespace cppvm::testing
