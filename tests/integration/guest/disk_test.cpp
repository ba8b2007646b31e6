#include "tests/integration/guest/agent_test.hpp"
#include "tests/support/loop_disk.hpp"
#include "tests/support/temp_dir.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/// Root file systems on disks, and disks as devices. A disk's serial number is its name here
/// (boot/process_environment.hpp).
namespace cppvm::testing {
namespace {

using ::testing::HasSubstr;

class AgentDiskTest : public AgentTest {
  protected:
    AgentDiskTest() : image(make_ext4(directory / "image", make_content())), disk(image) {}

    /// With all that a container wants of a root file system that it cannot change.
    std::filesystem::path make_content() const {
        std::filesystem::path root = agent.make_rootfs("image");
        for (const char* name : {"dev", "proc"}) {
            std::filesystem::create_directory(root / name);
        }
        return root;
    }

    agent::v2::CreateContainerRequest root_disk(std::vector<std::string> options = {}) const {
        agent::v2::CreateContainerRequest request;
        auto* const root = request.mutable_root_disk();
        root->set_serial(disk.name());
        root->set_type("ext4");
        for (std::string& option : options) {
            root->add_options(std::move(option));
        }
        return request;
    }

    Json script(const std::string& text) const {
        Json spec = make_script_spec(agent, "c1", text);
        spec["root"]["path"] = agent.share() / "disks" / disk.name();
        return spec;
    }

    /// Nobody has it mounted.
    bool is_free() const {
        const UniqueFd fd(::open(disk.path().c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
        return static_cast<bool>(fd);
    }

    TempDir directory;
    std::filesystem::path image;
    LoopDisk disk;
};

TEST_F(AgentDiskTest, MountsARootFileSystemAndLetsItGo) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::string text = "mount | grep ' / '; echo kept >/file";
        const RunResult first = co_await host.run("c1", script(text), "", root_disk({"noatime"}));
        EXPECT_THAT(first.output, HasSubstr(" / type ext4 (rw,noatime"));
        EXPECT_EQ(first.errors, "");
        EXPECT_TRUE(is_free()) << "once the container is deleted";
        EXPECT_FALSE(std::filesystem::exists(agent.share() / "disks" / disk.name()));
        const RunResult second = co_await host.run("c1", script("cat /file"), "", root_disk());
        EXPECT_EQ(second.output, "kept\n");
    });
}

TEST_F(AgentDiskTest, MountsItReadOnly) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = script("echo x >/file");
        const RunResult result = co_await host.run("c1", std::move(spec), "", root_disk({"ro"}));
        EXPECT_EQ(result.output, "");
        EXPECT_THAT(result.errors, HasSubstr("Read-only file system"));
    });
}

// A process in a user namespace of its own may not mount a disk: the agent does.
TEST_F(AgentDiskTest, IsTheRootOfAContainerWithUsersOfItsOwn) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = script("cat /proc/self/uid_map; head -c 0 /bin/busybox && echo read");
        spec["linux"]["namespaces"].push_back({{"type", "user"}});
        const Json mapping = {{"containerID", 0}, {"hostID", 0}, {"size", 1000}};
        spec["linux"]["uidMappings"] = Json::array({mapping});
        spec["linux"]["gidMappings"] = Json::array({mapping});
        const RunResult result = co_await host.run("c1", std::move(spec), "", root_disk());
        EXPECT_THAT(result.output, HasSubstr("1000\nread\n")) << result.errors;
    });
}

TEST_F(AgentDiskTest, SaysWhatIsWrongWithAFileSystem) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const Status option =
            co_await failure_of(host.create("c1", script("true"), {}, root_disk({"nonsense=1"})));
        EXPECT_THAT(option.message, HasSubstr("nonsense"));
        run_shell(
            "dd if=/dev/zero of=" + image.native() + " bs=4096 count=1 conv=notrunc status=none"
        );
        auto request = root_disk();
        const Status garbage = co_await failure_of(host.create("c1", script("true"), {}, request));
        EXPECT_THAT(garbage.message, HasSubstr("file system 'ext4'"));
        request.mutable_root_disk()->set_serial("nowhere");
        const Status missing = co_await failure_of(host.create("c1", script("true"), {}, request));
        EXPECT_THAT(missing.message, HasSubstr("no block device nowhere"));
        EXPECT_TRUE(is_free());
    });
}

TEST_F(AgentDiskTest, UnmountsWhatACreateThatFailedHasMounted) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = script("true");
        spec["mounts"].push_back(
            {{"destination", "/x"}, {"type", "bind"}, {"source", agent.share() / "nowhere"}}
        );
        const Status failed =
            co_await failure_of(host.create("c1", std::move(spec), {}, root_disk()));
        EXPECT_THAT(failed.message, HasSubstr("nowhere"));
        EXPECT_TRUE(co_await eventually([this] { return is_free(); }));
    });
}

/// The spec speaks of the host's numbers; the disk has others here.
TEST_F(AgentDiskTest, IsADeviceUnderItsOwnNumber) {
    run_test([this](HostSide& host) -> Awaitable<> {
        agent::v2::CreateContainerRequest request;
        auto* const entry = request.add_disks();
        entry->set_serial(disk.name());
        entry->set_host_major(8);
        entry->set_host_minor(16);
        const std::string text = "stat -c '%a %u:%g %t:%T' /dev/data; dd if=/dev/data of=/dev/null "
                                 "count=1 2>/dev/null && echo read; echo x >/dev/data";
        Json spec = make_script_spec(agent, "c1", text);
        spec["linux"]["devices"] = {
            {{"path", "/dev/data"},
             {"type", "b"},
             {"major", 8},
             {"minor", 16},
             {"fileMode", 0640},
             {"uid", 0},
             {"gid", 34}}
        };
        spec["linux"]["resources"]["devices"] = {
            {{"allow", false}, {"access", "rwm"}},
            {{"allow", true}, {"type", "b"}, {"major", 8}, {"minor", 16}, {"access", "r"}}
        };
        const RunResult result = co_await host.run("c1", std::move(spec), "", std::move(request));
        std::array<char, 64> numbers{};
        std::snprintf(
            numbers.data(),
            numbers.size(),
            "640 0:34 %x:%x\n",
            major(disk.number()),
            minor(disk.number())
        );
        EXPECT_EQ(result.output, std::string(numbers.data()) + "read\n");
        EXPECT_THAT(result.errors, HasSubstr("Operation not permitted"));
    });
}

} // namespace
} // namespace cppvm::testing
