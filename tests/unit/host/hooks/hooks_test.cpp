#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/hooks/hooks.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/failure_of.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace cppvm::hooks {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class HooksTest : public ::testing::Test {
  public:
    oci::ContainerState state() const {
        return {"1.1.0", "c1", "creating", 42, directory_.path().native(), {{"key", "value"}}};
    }

    static oci::Hook shell(std::string script) {
        return {"/bin/sh", {"sh", "-c", std::move(script)}, {}, {}};
    }

    std::string file(const std::string& name) const {
        return read_file(directory_.path() / name, 1UL << 20);
    }

    testing::TempDir directory_;
};

Awaitable<std::string> prestart_failure(std::vector<oci::Hook> hooks, oci::ContainerState state) {
    return cppvm::testing::failure_of(run("prestart", std::move(hooks), std::move(state)));
}

TEST_F(HooksTest, GetTheStateAndRunInTheBundle) {
    testing::co_test([](HooksTest& test) -> Awaitable<> {
        co_await run("prestart", {shell("cat > state; pwd > place")}, test.state());
    }(*this));
    EXPECT_EQ(
        nlohmann::json::parse(file("state")),
        nlohmann::json(
            {{"ociVersion", "1.1.0"},
             {"id", "c1"},
             {"status", "creating"},
             {"pid", 42},
             {"bundle", directory_.path().native()},
             {"annotations", {{"key", "value"}}}}
        )
    );
    EXPECT_EQ(file("place"), directory_.path().native() + "\n");
}

TEST_F(HooksTest, AreToldNoPidOfAContainerThatHasStopped) {
    oci::ContainerState stopped = state();
    stopped.pid = 0;
    EXPECT_FALSE(nlohmann::json::parse(to_json(stopped)).contains("pid"));
}

TEST_F(HooksTest, HaveTheirOwnNameAndEnvironment) {
    testing::co_test([](HooksTest& test) -> Awaitable<> {
        const oci::Hook hook{
            "/bin/bash", {"other-name", "-c", "echo $0 $WORD > said"}, {"WORD=hello"}, {}
        };
        co_await run("prestart", {hook}, test.state());
    }(*this));
    EXPECT_EQ(file("said"), "other-name hello\n");
}

TEST_F(HooksTest, EndWithTheFirstThatFails) {
    testing::co_test([](HooksTest& test) -> Awaitable<> {
        const std::string failure = co_await prestart_failure(
            {shell("exit 0"), shell("echo no bridge >&2; exit 3"), shell("touch ran")}, test.state()
        );
        EXPECT_EQ(failure, "prestart hook #1: run /bin/sh: exit code 3: no bridge");
        EXPECT_FALSE(std::filesystem::exists(test.directory_.path() / "ran"));
    }(*this));
}

TEST_F(HooksTest, ThatDoNotExistAreNamed) {
    testing::co_test([](HooksTest& test) -> Awaitable<> {
        EXPECT_THAT(
            co_await prestart_failure({{"/no/such/hook", {}, {}, {}}}, test.state()),
            AllOf(StartsWith("prestart hook #0"), HasSubstr("/no/such/hook"), HasSubstr("No such"))
        );
    }(*this));
}

TEST_F(HooksTest, EndWithTheirTime) {
    testing::co_test([](HooksTest& test) -> Awaitable<> {
        oci::Hook hook = shell("exec sleep 1000");
        hook.timeout = 1;
        EXPECT_THAT(
            co_await prestart_failure({hook}, test.state()),
            AllOf(StartsWith("prestart hook #0"), HasSubstr("timed out"))
        );
    }(*this));
}

TEST_F(HooksTest, MayPrintWhatTheyLikeAndReadNothing) {
    testing::co_test([](HooksTest& test) -> Awaitable<> {
        oci::ContainerState state = test.state();
        state.annotations["large"] = std::string(1UL << 20, 'x');
        const std::string flood = "exec 0<&-; head -c 8000000 /dev/zero | tr '\\0' 'y' >&2; ";
        co_await run("prestart", {shell(flood), shell("yes | head -c 8000000")}, state);
        const std::string failure = co_await prestart_failure({shell(flood + "exit 3")}, state);
        EXPECT_THAT(failure, StartsWith("prestart hook #0: run /bin/sh: exit code 3: yyy"));
        EXPECT_LT(failure.size(), 10'000U);
    }(*this));
}

TEST_F(HooksTest, AreAllRunAtTheEnd) {
    testing::co_test([](HooksTest& test) -> Awaitable<> {
        const auto errors =
            co_await run_all("poststop", {shell("exit 1"), shell("touch ran")}, test.state());
        EXPECT_THAT(errors, ElementsAre(StartsWith("poststop hook #0")));
        EXPECT_TRUE(std::filesystem::exists(test.directory_.path() / "ran"));
    }(*this));
}

TEST_F(HooksTest, LeaveAMarkUntilTheLastHasRun) {
    EXPECT_FALSE(is_poststop_due(directory_.path()));
    set_poststop_due(directory_.path());
    EXPECT_TRUE(is_poststop_due(directory_.path()));
    clear_poststop_due(directory_.path());
    EXPECT_FALSE(is_poststop_due(directory_.path()));
    EXPECT_THROW(set_poststop_due(directory_.path() / "nowhere"), Error);
}

} // namespace
} // namespace cppvm::hooks
