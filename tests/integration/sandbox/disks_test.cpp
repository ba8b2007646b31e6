// Block devices of the host as disks of the machine, and root file systems on them.

#include "common/oci/spec_json.hpp"
#include "tests/integration/sandbox/sandbox_fixture.hpp"
#include "tests/support/loop_disk.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <sys/sysmacros.h>

namespace cppvm::sandbox {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LoopDisk;
using testing::loops_of;
using testing::make_image;
using ::testing::SizeIs;

class DisksTest : public SandboxTest {
  protected:
    DisksTest() : image_(make_image(path("image"), 1024UL * 1024)) {}

    /// As the blockfile snapshotter describes it.
    TaskSpec on_image(const std::string& id) const {
        TaskSpec spec = container(id);
        spec.rootfs = {{"ext4", image_, "", {"loop", "rw"}}};
        return spec;
    }

    /// The bundle's container has the block device as /dev/data.
    void use_device(dev_t number, const std::string& access) const {
        auto config = nlohmann::json::parse(read_file(path("bundle") / "config.json", 65536));
        config["linux"]["devices"] = {
            {{"path", "/dev/data"},
             {"type", "b"},
             {"major", major(number)},
             {"minor", minor(number)}}
        };
        config["linux"]["resources"]["devices"] = {
            {{"allow", true},
             {"type", "b"},
             {"major", major(number)},
             {"minor", minor(number)},
             {"access", access}}
        };
        write_config(config.dump());
    }

    /// What the machine is given.
    void note_disks(Bench& bench) {
        bench.hypervisor.on_attach = [this](const vm::Device& device) {
            attached_.push_back(std::get<vm::Disk>(device));
        };
    }

    std::filesystem::path image_;
    std::vector<vm::Disk> attached_;
};

TEST_F(DisksTest, GivesTheGuestItsRootFileSystem) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        note_disks(bench);
        bench.sandbox.boot();
        co_await bench.sandbox.create(on_image("c1"));
        EXPECT_THAT(loops_of(image_), SizeIs(1));
        EXPECT_THAT(attached_, SizeIs(1));
        EXPECT_FALSE(attached_.at(0).read_only);
        EXPECT_LE(attached_.at(0).name.size(), vm::max_disk_name);
        const auto& request = bench.hypervisor.agent.created;
        EXPECT_EQ(request.root_disk().serial(), attached_.at(0).name);
        EXPECT_EQ(request.root_disk().type(), "ext4");
        EXPECT_THAT(request.root_disk().options(), ElementsAre("rw"));
        const auto spec = oci::parse_spec(request.spec()).value;
        EXPECT_EQ(spec.root.path, "/run/cppvm/share/disks/" + attached_.at(0).name);

        co_await bench.sandbox.remove("c1", "");
        EXPECT_THAT(bench.hypervisor.detached, ElementsAre(attached_.at(0).name));
        EXPECT_THAT(loops_of(image_), IsEmpty());
    });
}

// Two mounts of one file system would ruin it, whoever has made the second.
TEST_F(DisksTest, LetsNobodyMountARootDiskMeanwhile) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        co_await bench.sandbox.create(on_image("c1"));
        const std::string device = "/dev/" + loops_of(image_).at(0);
        EXPECT_NE(::mount(device.c_str(), path("rootfs").c_str(), "ext4", 0, nullptr), 0);
        EXPECT_EQ(errno, EBUSY);
        co_await bench.sandbox.remove("c1", "");
    });
}

TEST_F(DisksTest, IsOneDiskForAllContainersOfThePod) {
    const LoopDisk loop(image_);
    use_device(loop.number(), "rw");
    with_sandbox(sandbox_spec(), [&](Bench& bench) -> Awaitable<> {
        note_disks(bench);
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        co_await bench.sandbox.create(container("c2"));
        EXPECT_THAT(attached_, SizeIs(1));
        EXPECT_EQ(attached_.at(0).device, loop.number());
        const auto& disks = bench.hypervisor.agent.created.disks();
        EXPECT_EQ(disks.at(0).serial(), attached_.at(0).name);
        EXPECT_EQ(disks.at(0).host_major(), major(loop.number()));
        EXPECT_EQ(disks.at(0).host_minor(), minor(loop.number()));
        co_await bench.sandbox.remove("c1", "");
        EXPECT_THAT(bench.hypervisor.detached, IsEmpty());
        co_await bench.sandbox.remove("c2", "");
        EXPECT_THAT(bench.hypervisor.detached, SizeIs(1));
    });
}

TEST_F(DisksTest, StaysReadOnlyWhereOneContainerHasItSo) {
    const LoopDisk loop(image_);
    use_device(loop.number(), "r");
    with_sandbox(sandbox_spec(), [&](Bench& bench) -> Awaitable<> {
        note_disks(bench);
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        EXPECT_TRUE(attached_.at(0).read_only);
        use_device(loop.number(), "rw");
        const Status refused = co_await status_of(bench.sandbox.create(container("c2")));
        EXPECT_EQ(refused.code, Code::failed_precondition);
        EXPECT_THAT(refused.message, HasSubstr("another container of the pod has it read-only"));
        co_await bench.sandbox.remove("c1", "");
        co_await bench.sandbox.create(container("c2"));
        EXPECT_FALSE(attached_.at(1).read_only);
        co_await bench.sandbox.remove("c2", "");
    });
}

TEST_F(DisksTest, LeavesNothingWhereQemuRefusesADisk) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.hypervisor.on_attach = [](const vm::Device&) {
            throw Error(Code::internal, "no such bus");
        };
        bench.sandbox.boot();
        const Status refused = co_await status_of(bench.sandbox.create(on_image("c1")));
        EXPECT_THAT(refused.message, HasSubstr("give " + image_.native() + " to the machine: no"));
        EXPECT_THAT(loops_of(image_), IsEmpty());
        EXPECT_THAT(bench.hypervisor.detached, IsEmpty());
        EXPECT_TRUE(bench.hypervisor.roots_are_empty());
    });
}

TEST_F(DisksTest, NamesADeviceThatTheHostHasNot) {
    use_device(makedev(7, 250), "rw");
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        const Status refused = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_EQ(refused.code, Code::failed_precondition);
        EXPECT_THAT(refused.message, HasSubstr("the host has no block device 7:250"));
        TaskSpec missing = on_image("c1");
        missing.rootfs[0].source += ".gone";
        EXPECT_THAT(
            (co_await status_of(bench.sandbox.create(missing))).message,
            HasSubstr("image.gone: No such file or directory")
        );
    });
}

TEST_F(DisksTest, HasRoomForSoMany) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        for (unsigned i = 0; i < max_disks; ++i) {
            co_await bench.sandbox.create(on_image("c" + std::to_string(i)));
        }
        const Status refused = co_await status_of(bench.sandbox.create(on_image("last")));
        EXPECT_EQ(refused.code, Code::resource_exhausted);
        EXPECT_GE(bench.hypervisor.spec.hotplug_slots, max_disks);
        co_await bench.sandbox.remove("c3", "");
        co_await bench.sandbox.create(on_image("last"));
    });
    EXPECT_THAT(loops_of(image_), IsEmpty());
}

TEST_F(DisksTest, TakesThemBackWhereTheGuestRefusesTheContainer) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        note_disks(bench);
        bench.hypervisor.agent.on_call = [](const std::string& rpc) -> bool {
            if (rpc == "create_container") {
                throw Error(Code::invalid_argument, "wrong magic number");
            }
            return true;
        };
        bench.sandbox.boot();
        const Status refused = co_await status_of(bench.sandbox.create(on_image("c1")));
        EXPECT_THAT(refused.message, HasSubstr("wrong magic number"));
        EXPECT_THAT(bench.hypervisor.detached, ElementsAre(attached_.at(0).name));
        EXPECT_THAT(loops_of(image_), IsEmpty());
    });
}

// It may soon be somebody else's.
TEST_F(DisksTest, EndsAMachineThatKeepsADisk) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.hypervisor.on_detach = [](const std::string&) {
            throw Error(Code::deadline_exceeded, "the guest holds on to it");
        };
        bench.sandbox.boot();
        co_await bench.sandbox.create(on_image("c1"));
        co_await bench.sandbox.remove("c1", "");
        EXPECT_EQ(bench.hypervisor.machines, 0);
        EXPECT_THAT(loops_of(image_), IsEmpty());
        EXPECT_THAT(
            bench.sandbox.report().reason, HasSubstr("c1 keeps a device: the guest holds on")
        );
    });
}

} // namespace
} // namespace cppvm::sandbox
