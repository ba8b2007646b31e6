// Images that lead out of themselves, and specs of a size that nobody means.

#include "common/os/file.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <csignal>
#include <fstream>
#include <set>
#include <sys/stat.h>

namespace cppvm::testing {
namespace {

using ::testing::HasSubstr;

namespace fs = std::filesystem;

/// A place of the spec where a path of the image is looked up. There `/trap` is a link that leads
/// out of the root, to a directory with `file` in it.
struct Trap {
    std::string name;
    std::function<void(Json& spec)> use;
};

// NOLINTNEXTLINE(readability-identifier-naming): gtest looks for this name.
void PrintTo(const Trap& trap, std::ostream* stream) {
    *stream << trap.name;
}

class AgentTrapTest : public AgentTest, public ::testing::WithParamInterface<Trap> {
  protected:
    AgentTrapTest() {
        fs::create_directories(outside());
        std::ofstream(outside() / "file") << "untouched\n";
        std::ofstream(outside() / "program")
            << "#!/bin/sh\necho > " << outside().native() << "/run\n";
        ::chmod((outside() / "program").c_str(), 0755);
    }

    fs::path outside() const { return agent.share() / "outside"; }
    fs::path root() const { return agent.share() / "c1/rootfs"; }

    void expect_untouched() const {
        std::set<std::string> names;
        for (const auto& entry : fs::directory_iterator(outside())) {
            names.insert(entry.path().filename());
        }
        EXPECT_THAT(names, ::testing::ElementsAre("file", "program"));
        EXPECT_EQ(read_file(outside() / "file", 100), "untouched\n");
        struct stat status{};
        ASSERT_EQ(::stat((outside() / "file").c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777U, 0644U);
    }
};

// Whether the container comes up does not matter; what lies outside does, and the next one.
TEST_P(AgentTrapTest, StaysInTheRoot) {
    for (const std::string& target :
         {outside().native(), "../../../../../../../.." + outside().native()}) {
        fs::create_symlink(target, root() / "trap");
        run_test([this](HostSide& host) -> Awaitable<> {
            Json spec = make_script_spec(agent, "c1", "echo > /trap/made; true");
            GetParam().use(spec);
            const Status status = co_await failure_of([](HostSide& on, Json of) -> Awaitable<> {
                co_await on.run("c1", std::move(of));
            }(host, spec));
            EXPECT_NE(status.code, Code::invalid_argument) << status.message; // it was tried
            expect_untouched();
            const RunResult next = co_await host.run("c1", make_spec(agent, "c1", {"true"}));
            EXPECT_EQ(next.status, 0U) << status.message;
        });
        fs::remove(root() / "trap");
    }
}

Json tmpfs(const std::string& destination, std::vector<std::string> options) {
    return {
        {"destination", destination},
        {"type", "tmpfs"},
        {"source", "tmpfs"},
        {"options", std::move(options)}
    };
}

/// `source` is below the share.
Json bind_mount(const Json& spec, const std::string& destination, const std::string& source) {
    const fs::path share = fs::path(spec["root"]["path"]).parent_path().parent_path();
    return {
        {"destination", destination},
        {"type", "bind"},
        {"source", share / source},
        {"options", {"rbind"}}
    };
}

INSTANTIATE_TEST_SUITE_P(
    AgentTrapTest,
    AgentTrapTest,
    ::testing::Values(
        Trap{"Nothing", [](Json&) {}},
        Trap{
            "MountDestination",
            [](Json& spec) { spec["mounts"].push_back(tmpfs("/trap/deep", {"rw"})); }
        },
        Trap{
            "MountDestinationWithDots",
            [](Json& spec) {
                spec["mounts"].push_back(tmpfs("/trap/../../../../../../outside/deep", {"rw"}));
            }
        },
        Trap{
            "BindOfADirectory",
            [](Json& spec) { spec["mounts"].push_back(bind_mount(spec, "/trap/bound/deep", "c1")); }
        },
        Trap{
            "BindOfAFile",
            [](Json& spec) {
                spec["mounts"].push_back(bind_mount(spec, "/trap/bound", "outside/file"));
            }
        },
        Trap{
            "BindOverAFile",
            [](Json& spec) {
                spec["mounts"].push_back(bind_mount(spec, "/trap/file", "outside/program"));
            }
        },
        Trap{
            "KernelFileSystem",
            [](Json& spec) {
                spec["mounts"].push_back(
                    {{"destination", "/trap/queue"}, {"type", "mqueue"}, {"source", "mqueue"}}
                );
            }
        },
        Trap{"CopyUp", [](Json& spec) { spec["mounts"].push_back(tmpfs("/trap", {"tmpcopyup"})); }},
        Trap{
            "Device",
            [](Json& spec) {
                spec["linux"]["devices"] = {
                    {{"path", "/trap/null"}, {"type", "c"}, {"major", 1}, {"minor", 3}}
                };
            }
        },
        Trap{
            "Fifo",
            [](Json& spec) { spec["linux"]["devices"] = {{{"path", "/trap/fifo"}, {"type", "p"}}}; }
        },
        Trap{"Cwd", [](Json& spec) { spec["process"]["cwd"] = "/trap/new/directory"; }},
        Trap{
            "MaskedPath", [](Json& spec) { spec["linux"]["maskedPaths"] = {"/trap/file", "/trap"}; }
        },
        Trap{
            "ReadonlyPath",
            [](Json& spec) { spec["linux"]["readonlyPaths"] = {"/trap/file", "/trap"}; }
        },
        Trap{
            "CreateHook",
            [](Json& spec) { spec["hooks"]["createContainer"] = {{{"path", "/trap/program"}}}; }
        },
        Trap{
            "StartHook",
            [](Json& spec) { spec["hooks"]["startContainer"] = {{{"path", "/trap/program"}}}; }
        },
        Trap{"Program", [](Json& spec) { spec["process"]["args"] = {"/trap/program"}; }},
        Trap{
            "Passwd",
            [](Json& spec) {
                spec["mounts"].push_back(tmpfs("/etc", {"rw"}));
                spec["hooks"]["createContainer"] = {
                    {{"path", "/bin/sh"},
                     {"args", {"sh", "-c", "/bin/busybox ln -s /trap/file /etc/passwd"}}}
                };
            }
        }
    ),
    [](const auto& entry) { return entry.param.name; }
);

class AgentSizeTest : public AgentTest {};

TEST_F(AgentSizeTest, MakesTenThousandMounts) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(agent, "c1", "wc -l < /proc/self/mountinfo");
        for (int i = 0; i < 10000; ++i) {
            spec["mounts"].push_back(
                {{"destination", "/m/" + std::to_string(i)}, {"type", "tmpfs"}, {"source", "tmpfs"}}
            );
        }
        const RunResult result = co_await host.run("c1", spec);
        EXPECT_GT(std::atoi(result.output.c_str()), 10000);
    });
}

TEST_F(AgentSizeTest, CarriesAMebibyteOfArgumentsAndEnvironment) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::string text(64UL * 1024, 'x'); // one of them may be 128 KiB (execve(2))
        Json spec = make_script_spec(agent, "c1", "echo $#");
        for (int i = 0; i <= 16; ++i) {
            spec["process"]["args"].push_back(text);
        }
        RunResult result = co_await host.run("c1", spec);
        EXPECT_EQ(result.output, "16\n") << result.errors;
        spec = make_script_spec(agent, "c1", "env | wc -c");
        for (int i = 0; i < 16; ++i) {
            spec["process"]["env"].push_back("V" + std::to_string(i) + "=" + text);
        }
        result = co_await host.run("c1", spec);
        EXPECT_GT(std::atoi(result.output.c_str()), 16 * 64 * 1024) << result.errors;

        spec["process"]["env"].push_back("TOO_LONG=" + text + text);
        const Status status = co_await failure_of([](HostSide& on, Json of) -> Awaitable<> {
            co_await on.run("c1", std::move(of));
        }(host, spec));
        EXPECT_THAT(status.message, HasSubstr("argument list too long"));
        result = co_await host.run("c1", make_spec(agent, "c1", {"true"}));
        EXPECT_EQ(result.status, 0U);
    });
}

} // namespace
} // namespace cppvm::testing
