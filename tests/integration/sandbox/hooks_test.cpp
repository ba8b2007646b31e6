// Programs of the host at the points of a container's life.

#include "common/base/error.hpp"
#include "host/hooks/hooks.hpp"
#include "tests/integration/sandbox/sandbox_fixture.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace cppvm::sandbox {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

class SandboxHooksTest : public SandboxTest {
  protected:
    /// Adds to the container's spec what the shell does at that point.
    void add_hook(const std::string& kind, const std::string& script) {
        hooks_[kind].push_back({{"path", "/bin/sh"}, {"args", {"sh", "-c", script}}});
        json spec = json::parse(read_file(path("bundle") / "config.json", 1UL << 20));
        spec["hooks"] = hooks_;
        write_config(spec.dump());
    }

    /// What hooks have written to the file `said` of the bundle.
    std::string said() const {
        const auto file = path("bundle") / "said";
        return std::filesystem::exists(file) ? read_file(file, 1UL << 20) : "";
    }

    json hooks_;
};

constexpr const char* status_and_pid =
    R"sh(tr ',{}' '\n' | grep -E '"(status|pid)"' | sort | tr -d '"\n' | sed 's/$/;/' >> said)sh";

TEST_F(SandboxHooksTest, AreToldThePidAndWhatTheContainerDoes) {
    for (const char* kind : {"prestart", "createRuntime", "poststart", "poststop"}) {
        add_hook(kind, std::string("printf '") + kind + ":' >> said; " + status_and_pid);
    }
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        const pid_t pid = co_await bench.sandbox.create(container("c1"));
        const std::string number = "pid:" + std::to_string(pid);
        const std::string created = "prestart:" + number + "status:creating;" +
                                    "createRuntime:" + number + "status:creating;";
        EXPECT_EQ(said(), created);
        co_await bench.sandbox.task("c1")->start("");
        const std::string started = created + "poststart:" + number + "status:running;";
        EXPECT_EQ(said(), started);
        EXPECT_TRUE(hooks::is_poststop_due(path("bundle")));
        co_await bench.sandbox.task("c1")->kill("", SIGKILL, true);
        co_await bench.sandbox.task("c1")->wait("");
        co_await bench.sandbox.remove("c1", "");
        EXPECT_EQ(said(), started + "poststop:status:stopped;");
        EXPECT_FALSE(hooks::is_poststop_due(path("bundle")));
    });
}

TEST_F(SandboxHooksTest, ThatFailAtCreateUndoIt) {
    add_hook("createRuntime", "echo no such bridge >&2; exit 7");
    add_hook("poststop", "echo undone >> said");
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        const Status status = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_EQ(
            status.message,
            "create task c1: createRuntime hook #0: run /bin/sh: exit code 7: no such bridge"
        );
        EXPECT_TRUE(bench.sandbox.empty());
        EXPECT_EQ(said(), "undone\n");
    });
}

TEST_F(SandboxHooksTest, ThatFailAtStartStopTheContainer) {
    add_hook("poststart", "exit 7");
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        const auto task = bench.sandbox.task("c1");
        const Status status = co_await status_of(task->start(""));
        EXPECT_THAT(status.message, AllOf(HasSubstr("c1"), HasSubstr("poststart hook #0")));
        co_await task->wait("");
        co_await bench.sandbox.remove("c1", "");
    });
}

// They are told what names paths of the host; no other container is.
TEST_F(SandboxHooksTest, OfTheGuestAreLeftToIt) {
    json spec = json::parse(read_file(path("bundle") / "config.json", 1UL << 20));
    spec["annotations"]["key"] = "value";
    write_config(spec.dump());
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        const agent::v2::CreateContainerRequest& created = bench.hypervisor.agent.created;
        co_await bench.sandbox.create(container("c1"));
        EXPECT_EQ(created.bundle(), "");
        EXPECT_FALSE(json::parse(created.spec()).contains("annotations"));
        add_hook("startContainer", "echo started >> said");
        add_hook("createRuntime", "echo created >> said");
        co_await bench.sandbox.create(container("c2"));
        EXPECT_EQ(created.bundle(), path("bundle").native());
        const json told = json::parse(created.spec());
        EXPECT_EQ(told["annotations"]["key"], "value");
        EXPECT_TRUE(told["hooks"].contains("startContainer"));
        EXPECT_FALSE(told["hooks"].contains("createRuntime"));
        co_await bench.sandbox.task("c2")->start("");
        EXPECT_EQ(said(), "created\n");
        co_await bench.sandbox.task("c2")->kill("", SIGKILL, true);
        co_await bench.sandbox.task("c2")->wait("");
        co_await bench.sandbox.remove("c2", "");
        co_await bench.sandbox.remove("c1", "");
    });
}

TEST_F(SandboxHooksTest, ThatFailAtTheEndAreWarnedOf) {
    add_hook("poststop", "exit 7");
    add_hook("poststop", "echo second >> said");
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        co_await bench.sandbox.remove("c1", "");
        EXPECT_EQ(said(), "second\n");
        EXPECT_FALSE(hooks::is_poststop_due(path("bundle")));
    });
}

} // namespace
} // namespace cppvm::sandbox
