// IOMMU groups of the host as PCI devices of the machine.

#include "common/oci/spec_json.hpp"
#include "tests/integration/sandbox/sandbox_fixture.hpp"
#include "tests/support/fake_vfio.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace cppvm::sandbox {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class VfioTest : public SandboxTest {
  protected:
    VfioTest() {
        host_.add_device(17, "0000:01:00.0");
        host_.add_device(17, "0000:01:00.1");
        host_.add_node(17, "243:0");
        use_group(243, 0);
    }

    /// The bundle's container has it as device plugins ask for it.
    void use_group(int major, int minor) const {
        auto config = nlohmann::json::parse(read_file(path("bundle") / "config.json", 65536));
        const auto device = [](const std::string& name, int device_major, int device_minor) {
            return nlohmann::json{
                {"path", "/dev/vfio/" + name},
                {"type", "c"},
                {"major", device_major},
                {"minor", device_minor}
            };
        };
        const auto rule = [](int rule_major, int rule_minor) {
            return nlohmann::json{
                {"allow", true},
                {"type", "c"},
                {"major", rule_major},
                {"minor", rule_minor},
                {"access", "rwm"}
            };
        };
        config["linux"]["devices"] = {device("vfio", 10, 196), device("17", major, minor)};
        config["linux"]["resources"]["devices"] = {rule(10, 196), rule(major, minor)};
        write_config(config.dump());
    }

    SandboxSpec spec() const {
        SandboxSpec result = sandbox_spec();
        result.host = host_.tree();
        return result;
    }

    void note_devices(Bench& bench) {
        bench.hypervisor.on_attach = [this](const vm::Device& device) {
            attached_.push_back(std::get<vm::PciDevice>(device));
        };
    }

    testing::FakeVfio host_;
    std::vector<vm::PciDevice> attached_;
};

TEST_F(VfioTest, GivesAllDevicesOfTheGroup) {
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        note_devices(bench);
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        EXPECT_EQ(bench.hypervisor.spec.pci_ports, vm::max_pci_ports);
        EXPECT_THAT(attached_, SizeIs(2));
        EXPECT_EQ(attached_.at(0).address, "0000:01:00.0");
        EXPECT_EQ(attached_.at(1).address, "0000:01:00.1");
        EXPECT_EQ(attached_.at(1).group_node, host_.tree().dev / "vfio/17");
        const auto& request = bench.hypervisor.agent.created;
        EXPECT_THAT(request.pci_ports(), ElementsAre("0000:00:12.0", "0000:00:12.1"));
        // Numbers of the host that are handed out at run time are other devices' in the guest.
        const auto guest_spec = oci::parse_spec(request.spec()).value;
        EXPECT_THAT(guest_spec.linux_part.devices, IsEmpty());
        EXPECT_THAT(guest_spec.linux_part.resources.devices, SizeIs(1));
        EXPECT_EQ(guest_spec.linux_part.resources.devices.at(0).major, 10);

        co_await bench.sandbox.remove("c1", "");
        EXPECT_THAT(
            bench.hypervisor.detached, ElementsAre(attached_.at(1).name, attached_.at(0).name)
        );
    });
}

TEST_F(VfioTest, StaysWhileAContainerOfThePodHasIt) {
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        note_devices(bench);
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        co_await bench.sandbox.create(container("c2"));
        EXPECT_THAT(attached_, SizeIs(2));
        EXPECT_THAT(bench.hypervisor.agent.created.pci_ports(), SizeIs(2));
        co_await bench.sandbox.remove("c1", "");
        EXPECT_THAT(bench.hypervisor.detached, IsEmpty());
        co_await bench.sandbox.remove("c2", "");
        EXPECT_THAT(bench.hypervisor.detached, SizeIs(2));
        co_await bench.sandbox.create(container("c3"));
        EXPECT_EQ(attached_.at(2).port, 0U) << "its port is free again";
        co_await bench.sandbox.remove("c3", "");
    });
}

TEST_F(VfioTest, LeavesNothingWhereOneOfTheDevicesIsRefused) {
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        bench.hypervisor.on_attach = [this](const vm::Device& device) {
            if (!attached_.empty()) {
                throw Error(Code::internal, "no such bus");
            }
            attached_.push_back(std::get<vm::PciDevice>(device));
        };
        bench.sandbox.boot();
        const Status refused = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_THAT(
            refused.message,
            HasSubstr("give IOMMU group 17 to the machine: PCI device 0000:01:00.1: no such bus")
        );
        EXPECT_THAT(bench.hypervisor.detached, ElementsAre(attached_.at(0).name));
        attached_.clear();
        note_devices(bench);
        co_await bench.sandbox.create(container("c2"));
        EXPECT_THAT(attached_, SizeIs(2));
    });
}

TEST_F(VfioTest, SaysWhyAGroupCannotBeGiven) {
    host_.add_device(17, "0000:01:00.2", "snd_hda_intel", "0x040300");
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        note_devices(bench);
        bench.sandbox.boot();
        const Status refused = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_EQ(refused.code, Code::failed_precondition);
        EXPECT_THAT(refused.message, HasSubstr("snd_hda_intel has its device 0000:01:00.2; bind"));
        EXPECT_THAT(attached_, IsEmpty());
        EXPECT_TRUE(bench.hypervisor.roots_are_empty());
    });
}

// Whoever has no such hardware does not pay for the ports.
TEST_F(VfioTest, NamesAMachineThatStartedBeforeThereWasAGroup) {
    std::filesystem::remove_all(host_.tree().sys / "class/vfio");
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        const Status refused = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_EQ(refused.code, Code::failed_precondition);
        EXPECT_THAT(refused.message, HasSubstr("bound to vfio-pci when it started; recreate"));
        EXPECT_EQ(bench.hypervisor.spec.pci_ports, 0U);
    });
}

TEST_F(VfioTest, HasRoomForSoMany) {
    for (unsigned i = 2; i <= vm::max_pci_ports; ++i) {
        host_.add_device(17, "0000:02:00." + std::to_string(i));
    }
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        note_devices(bench);
        bench.sandbox.boot();
        const Status refused = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_EQ(refused.code, Code::resource_exhausted);
        EXPECT_THAT(refused.message, HasSubstr("has 8 PCI devices of the host already"));
        EXPECT_THAT(bench.hypervisor.detached, SizeIs(attached_.size()));
    });
}

// It may soon be another machine's.
TEST_F(VfioTest, EndsAMachineThatKeepsADevice) {
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        bench.hypervisor.on_detach = [](const std::string&) {
            throw Error(Code::deadline_exceeded, "the guest holds on to it");
        };
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        co_await bench.sandbox.remove("c1", "");
        EXPECT_EQ(bench.hypervisor.machines, 0);
        EXPECT_THAT(bench.sandbox.report().reason, HasSubstr("c1 keeps a device"));
    });
}

} // namespace
} // namespace cppvm::sandbox
