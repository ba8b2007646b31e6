#include "common/os/file.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

/// What runc does with mounts, links and devices of an image that are not what they seem.
namespace cppvm::testing {
namespace {

using ::testing::HasSubstr;

namespace fs = std::filesystem;

class AgentSpecialMountTest : public AgentTest {
  protected:
    fs::path root() const { return agent.share() / "c1/rootfs"; }

    void write(const std::string& path, const std::string& text) const {
        fs::create_directories((root() / path).parent_path());
        std::ofstream(root() / path) << text;
    }

    Json script(const std::string& text, std::vector<Json> mounts) const {
        Json spec = make_script_spec(agent, "c1", text);
        for (Json& mount : mounts) {
            spec["mounts"].push_back(std::move(mount));
        }
        return spec;
    }

    static Json tmpfs(const std::string& at, std::vector<std::string> options) {
        return {{"destination", at}, {"type", "tmpfs"}, {"source", "tmpfs"}, {"options", options}};
    }

    static Json device(const std::string& at, const std::string& number) {
        return {{"destination", at}, {"type", "cppvm-device"}, {"source", number}};
    }

    Awaitable<std::string> output_of(HostSide& host, Json spec) {
        const RunResult result = co_await host.run("c1", std::move(spec));
        co_return result.output + result.errors;
    }

    Awaitable<std::string> failure(HostSide& host, Json spec) {
        const Status status = co_await failure_of(host.create("c1", std::move(spec)));
        co_return status.message;
    }
};

TEST_F(AgentSpecialMountTest, GivesATmpfsTheModeOfTheDirectoryBelow) {
    fs::create_directories(root() / "scratch");
    ::chmod((root() / "scratch").c_str(), 01750);
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::string text = co_await output_of(
            host,
            script(
                "stat -c %a /scratch /scratch/a /new",
                {tmpfs("/scratch", {}), tmpfs("/scratch/a", {"mode=0711"}), tmpfs("/new", {})}
            )
        );
        EXPECT_EQ(text, "1750\n711\n1777\n");
    });
}

TEST_F(AgentSpecialMountTest, CopiesTheImageIntoATmpfs) {
    write("conf/deep/file", "from image\n");
    write("conf/plain", "from image\n");
    ::chmod((root() / "conf/deep").c_str(), 0700);
    EXPECT_EQ(::chown((root() / "conf/deep/file").c_str(), 12, 34), 0);
    fs::create_symlink("deep/file", root() / "conf/link");
    EXPECT_EQ(::mkfifo((root() / "conf/fifo").c_str(), 0604), 0);
    run_test([this](HostSide& host) -> Awaitable<> {
        std::string text = co_await output_of(
            host,
            script(
                "cat /conf/link; stat -c '%n %A %u %g' /conf/deep /conf/deep/file /conf/fifo; "
                "echo changed > /conf/plain; cat /conf/plain",
                {tmpfs("/conf", {"tmpcopyup"})}
            )
        );
        EXPECT_EQ(
            text,
            "from image\n/conf/deep drwx------ 0 0\n/conf/deep/file -rw-r--r-- 12 34\n"
            "/conf/fifo prw----r-- 0 0\nchanged\n"
        );
        text = co_await output_of(
            host, script("cat /conf/link; touch /conf/x", {tmpfs("/conf", {"tmpcopyup", "ro"})})
        );
        EXPECT_THAT(text, HasSubstr("from image\n"));
        EXPECT_THAT(text, HasSubstr("Read-only file system"));
        EXPECT_EQ(read_file(root() / "conf/plain", 100), "from image\n");
    });
}

TEST_F(AgentSpecialMountTest, SaysWhenTheCopyDoesNotFit) {
    write("conf/file", std::string(1UL << 20, 'x'));
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::string text =
            co_await failure(host, script("true", {tmpfs("/conf", {"tmpcopyup", "size=64k"})}));
        EXPECT_THAT(text, HasSubstr("/conf/file: No space left on device"));
    });
}

TEST_F(AgentSpecialMountTest, RefusesLinksInThePlaceOfKernelFileSystems) {
    fs::create_directories(root() / "elsewhere");
    fs::create_symlink("elsewhere", root() / "sys");
    run_test([this](HostSide& host) -> Awaitable<> {
        std::string text = co_await failure(
            host,
            script("true", {{{"destination", "/sys"}, {"type", "sysfs"}, {"source", "sysfs"}}})
        );
        EXPECT_THAT(text, HasSubstr("mount /sys: must be an ordinary directory in the image"));
        Json spec = make_script_spec(agent, "c1", "true");
        fs::remove(root() / "proc");
        fs::create_symlink("/elsewhere", root() / "proc");
        text = co_await failure(host, spec);
        EXPECT_THAT(text, HasSubstr("mount /proc: must be an ordinary directory in the image"));
        EXPECT_TRUE(fs::is_empty(root() / "elsewhere"));
    });
}

TEST_F(AgentSpecialMountTest, RefusesAnotherFileSystemInThePlaceOfProc) {
    run_test([this](HostSide& host) -> Awaitable<> {
        for (const char* path : {"/proc", "/proc/", "//bin/../proc"}) {
            Json spec = make_script_spec(agent, "c1", "true");
            spec["mounts"] = Json::array({tmpfs(path, {})});
            const std::string text = co_await failure(host, spec);
            EXPECT_THAT(text, HasSubstr("is not of type proc")) << path;
        }
    });
}

TEST_F(AgentSpecialMountTest, BindsDevicesByNumber) {
    write("etc/secret", "hidden\n");
    struct stat before{};
    ::stat("/dev/null", &before);
    run_test([this](HostSide& host) -> Awaitable<> {
        std::string text = co_await output_of(
            host,
            script(
                "cat /etc/secret; echo lost > /etc/secret && cat /etc/secret && chmod 600 "
                "/etc/secret && stat -c %t:%T:%a /etc/secret; head -c 2 /z/zero | wc -c",
                {device("/etc/secret", "1:3"), device("/z/zero", "1:5")}
            )
        );
        EXPECT_EQ(text, "1:3:600\n2\n");
        text = co_await failure(host, script("true", {device("/x", "1:200")}));
        EXPECT_EQ(text, "bind mount /x: the guest has no character device 1:200");
        text = co_await failure(host, script("true", {device("/x", "null")}));
        EXPECT_THAT(text, HasSubstr("no character device null"));
    });
    struct stat after{};
    ::stat("/dev/null", &after);
    EXPECT_EQ(after.st_mode, before.st_mode);
}

TEST_F(AgentSpecialMountTest, MakesDevicesOutsideOfDevThatWork) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(
            agent, "c1", "echo lost > /jail/dev/null && stat -c '%t:%T %a %u' /jail/dev/null"
        );
        spec["linux"]["devices"] = {
            {{"path", "/jail/dev/null"},
             {"type", "c"},
             {"major", 1},
             {"minor", 3},
             {"fileMode", 0620},
             {"uid", 7}}
        };
        const std::string text = co_await output_of(host, spec);
        EXPECT_EQ(text, "1:3 620 7\n");
    });
}

TEST_F(AgentSpecialMountTest, KeepsMaskedFilesAsTheyAre) {
    write("secret", "hidden\n");
    struct stat before{};
    ::stat("/dev/null", &before);
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec =
            make_script_spec(agent, "c1", "chmod 600 /secret; chown 5 /secret; cat /secret");
        spec["linux"]["maskedPaths"] = {"/secret"};
        const std::string text = co_await output_of(host, spec);
        EXPECT_THAT(text, HasSubstr("chmod: /secret: Read-only file system"));
        EXPECT_THAT(text, HasSubstr("chown: /secret: Read-only file system"));
    });
    struct stat after{};
    ::stat("/dev/null", &after);
    EXPECT_EQ(after.st_mode, before.st_mode);
    EXPECT_EQ(after.st_uid, before.st_uid);
}

TEST_F(AgentSpecialMountTest, GivesEachContainerASessionKeyring) {
    if (::access("/proc/keys", F_OK) != 0) {
        GTEST_SKIP() << "the kernel has no keys";
    }
    agent.make_rootfs("c2");
    run_test([this](HostSide& host) -> Awaitable<> {
        const char* const look = "grep keyring /proc/keys | grep -o '_ses.*:'";
        co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        co_await host.start("c1");
        const RunResult exec = co_await host.run_exec("c1", "e", make_process({"sh", "-c", look}));
        EXPECT_THAT(exec.output, HasSubstr("_ses.c1:\n")) << exec.errors;
        const RunResult other = co_await host.run("c2", make_script_spec(agent, "c2", look));
        EXPECT_THAT(other.output, HasSubstr("_ses.c2:\n"));
        co_await host.signal("c1", SIGKILL);
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

} // namespace
} // namespace cppvm::testing
