#include "common/base/error.hpp"
#include "host/config/firmware.hpp"
#include "host/vm/libvirt/device_xml.hpp"
#include "host/vm/libvirt/domain_xml.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pugixml.hpp>

namespace cppvm::vm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

DomainSpec domain_spec() {
    DomainSpec spec;
    spec.machine.name = "cppvm-0011223344556677";
    spec.machine.uuid = "00112233-4455-8677-8899-aabbccddeeff";
    spec.machine.title = "k8s.io/pod1";
    spec.machine.vcpus = 3;
    spec.machine.memory_mib = 512;
    spec.machine.kernel = "/var/lib/cppvm/vmlinuz";
    spec.machine.initramfs = "/var/lib/cppvm/initramfs.img";
    spec.machine.share_dir = "/run/cppvm/0011223344556677/share";
    spec.emulator = "/usr/bin/qemu-system-x86_64";
    spec.roots_socket = "/run/cppvm/ab/roots.sock";
    spec.volumes_socket = "/run/cppvm/ab/volumes.sock";
    spec.console_socket = "/run/cppvm/0011223344556677/console.sock";
    spec.command_line = "console=ttyS0 quiet";
    return spec;
}

// The domain as libvirt would read it.
class ParsedDomain {
  public:
    explicit ParsedDomain(const DomainSpec& spec) : text_(to_domain_xml(spec)) {
        EXPECT_TRUE(document_.load_string(text_.c_str())) << text_;
    }

    std::string at(const char* path) const {
        const auto node = document_.select_node(path);
        return node.attribute() ? node.attribute().value() : node.node().text().as_string();
    }
    bool has(const char* path) const { return static_cast<bool>(document_.select_node(path)); }

  private:
    std::string text_;
    pugi::xml_document document_;
};

TEST(DomainXmlTest, DescribesTheMachine) {
    const ParsedDomain domain(domain_spec());
    EXPECT_EQ(domain.at("/domain/@type"), "kvm");
    EXPECT_EQ(domain.at("/domain/name"), "cppvm-0011223344556677");
    EXPECT_EQ(domain.at("/domain/uuid"), "00112233-4455-8677-8899-aabbccddeeff");
    EXPECT_EQ(domain.at("/domain/title"), "k8s.io/pod1");
    EXPECT_EQ(domain.at("/domain/memory"), "512");
    EXPECT_EQ(domain.at("/domain/memory/@unit"), "MiB");
    EXPECT_EQ(domain.at("/domain/vcpu"), "3");
    EXPECT_EQ(domain.at("/domain/os/kernel"), "/var/lib/cppvm/vmlinuz");
    EXPECT_EQ(domain.at("/domain/os/initrd"), "/var/lib/cppvm/initramfs.img");
    EXPECT_EQ(domain.at("/domain/os/cmdline"), "console=ttyS0 quiet");
    EXPECT_EQ(domain.at("/domain/cpu/@mode"), "host-passthrough");
    EXPECT_EQ(domain.at("/domain/memoryBacking/access/@mode"), "shared");
}

TEST(DomainXmlTest, StartsTheKernelByQboot) {
    DomainSpec spec = domain_spec();
    EXPECT_FALSE(ParsedDomain(spec).has("//qemu:arg[@value='-bios']"));
    spec.qboot = true;
    const ParsedDomain domain(spec);
    EXPECT_EQ(domain.at("//qemu:arg[@value='-bios']/following-sibling::*[1]/@value"), "qboot.rom");
    EXPECT_FALSE(domain.has("//os/loader"));
}

TEST(FirmwareTest, IsQbootWhereItIsThere) {
    EXPECT_TRUE(config::uses_qboot("auto", "/dev/null"));
    EXPECT_FALSE(config::uses_qboot("auto", "/nowhere"));
    EXPECT_TRUE(config::uses_qboot("qboot", "/nowhere")); // the start then fails and says so
    EXPECT_FALSE(config::uses_qboot("seabios", "/dev/null"));
}

TEST(DomainXmlTest, GivesFreedMemoryBack) {
    const ParsedDomain domain(domain_spec());
    EXPECT_EQ(domain.at("//memballoon/@model"), "virtio");
    EXPECT_EQ(domain.at("//memballoon/@freePageReporting"), "on");
    EXPECT_FALSE(domain.has("//hugepages"));
}

TEST(DomainXmlTest, HasTheProcessorsFeaturesAskedForAtOnce) {
    const ParsedDomain domain(domain_spec());
    EXPECT_EQ(domain.at("//qemu:capabilities/qemu:del/@capability"), "cpu-unavailable-features");
}

TEST(DomainXmlTest, SparesAnEmulatedProcessorWhatIsSlowOnIt) {
    DomainSpec spec = domain_spec();
    EXPECT_FALSE(ParsedDomain(spec).has("//cpu/feature"));
    spec.emulation = true;
    const ParsedDomain domain(spec);
    EXPECT_EQ(domain.at("//cpu/feature[@name='erms']/@policy"), "disable");
    EXPECT_EQ(domain.at("//cpu/feature[@name='fsrm']/@policy"), "disable");
}

TEST(DomainXmlTest, KeepsTheMemoryBarriersOfAnEmulatedGuest) {
    DomainSpec spec = domain_spec();
    spec.machine.vcpus = 1;
    EXPECT_EQ(ParsedDomain(spec).at("/domain/vcpu"), "1");
    spec.emulation = true;
    EXPECT_EQ(ParsedDomain(spec).at("/domain/vcpu"), "2");
    EXPECT_EQ(ParsedDomain(spec).at("/domain/vcpu/@current"), "1");
    spec.machine.vcpus = 3;
    EXPECT_EQ(ParsedDomain(spec).at("/domain/vcpu"), "3");
    EXPECT_FALSE(ParsedDomain(spec).has("/domain/vcpu/@current"));
}

TEST(DomainXmlTest, TakesHugePages) {
    DomainSpec spec = domain_spec();
    spec.machine.huge_page_mib = 2;
    const ParsedDomain domain(spec);
    EXPECT_EQ(domain.at("//memoryBacking/hugepages/page/@size"), "2");
    EXPECT_EQ(domain.at("//memoryBacking/hugepages/page/@unit"), "MiB");
}

TEST(DomainXmlTest, EndsTheMachineWhateverEndsTheGuest) {
    const ParsedDomain domain(domain_spec());
    EXPECT_EQ(domain.at("/domain/on_poweroff"), "destroy");
    EXPECT_EQ(domain.at("/domain/on_reboot"), "destroy");
    EXPECT_EQ(domain.at("/domain/on_crash"), "destroy");
}

TEST(DomainXmlTest, ConnectsShareAndConsole) {
    const ParsedDomain domain(domain_spec());
    EXPECT_EQ(domain.at("//filesystem/driver/@type"), "virtiofs");
    EXPECT_EQ(domain.at("//filesystem[1]/source/@socket"), "/run/cppvm/ab/roots.sock");
    EXPECT_EQ(domain.at("//filesystem[1]/target/@dir"), "cppvm-roots");
    EXPECT_EQ(domain.at("//filesystem[2]/source/@socket"), "/run/cppvm/ab/volumes.sock");
    EXPECT_EQ(domain.at("//filesystem[2]/target/@dir"), "cppvm-volumes");
    EXPECT_EQ(domain.at("//serial/@type"), "unix");
    EXPECT_EQ(domain.at("//serial/source/@mode"), "connect");
    EXPECT_EQ(domain.at("//serial/source/@path"), "/run/cppvm/0011223344556677/console.sock");
}

TEST(DomainXmlTest, HasNoDeviceThatNobodyNeeds) {
    const ParsedDomain domain(domain_spec());
    EXPECT_EQ(domain.at("//controller[@type='usb']/@model"), "none");
    EXPECT_FALSE(domain.has("//graphics"));
    EXPECT_FALSE(domain.has("//video"));
    EXPECT_FALSE(domain.has("//interface"));
}

TEST(DomainXmlTest, PutsItsDevicesOnTheRootBus) {
    const ParsedDomain domain(domain_spec());
    EXPECT_EQ(domain.at("//filesystem/address/@bus"), "0x00");
    EXPECT_EQ(domain.at("//vsock/address/@bus"), "0x00");
    EXPECT_NE(domain.at("//filesystem/address/@slot"), domain.at("//vsock/address/@slot"));
}

TEST(DomainXmlTest, LetsLibvirtChooseTheVsockAddress) {
    const ParsedDomain domain(domain_spec());
    EXPECT_EQ(domain.at("//vsock/cid/@auto"), "yes");
    EXPECT_THAT(to_domain_xml(domain_spec()), Not(HasSubstr("vhost-user-vsock")));
}

// Linux would take note of a link that is reported a second after it has set the interface up.
TEST(DomainXmlTest, LetsNoInterfaceReportItsLink) {
    EXPECT_THAT(to_domain_xml(domain_spec()), HasSubstr("\"virtio-net-device.status=off\""));
}

TEST(DomainXmlTest, PassesTheUserVsockToQemuAndDoublesCommas) {
    DomainSpec spec = domain_spec();
    spec.vsock_socket = "/run/a,b/vhost-vsock.sock";
    const ParsedDomain domain(spec);
    EXPECT_FALSE(domain.has("//vsock"));
    const std::string text = to_domain_xml(spec);
    EXPECT_THAT(text, HasSubstr("path=/run/a,,b/vhost-vsock.sock"));
    EXPECT_THAT(text, HasSubstr("vhost-user-vsock-pci"));
}

TEST(DomainXmlTest, UsesAPlainProcessorForEmulation) {
    DomainSpec spec = domain_spec();
    spec.emulation = true;
    const ParsedDomain domain(spec);
    EXPECT_EQ(domain.at("/domain/@type"), "qemu");
    EXPECT_EQ(domain.at("/domain/cpu/@mode"), "maximum");
}

TEST(DomainXmlTest, EscapesWhatIsMarkup) {
    DomainSpec spec = domain_spec();
    spec.machine.title = "a</title><name>b</name>\"'&";
    spec.roots_socket = "/run/x'/><disk type=\"file\">&amp;";
    spec.command_line = "quiet root=<&>";
    const ParsedDomain domain(spec);
    EXPECT_EQ(domain.at("/domain/title"), spec.machine.title);
    EXPECT_EQ(domain.at("//filesystem/source/@socket"), spec.roots_socket.native());
    EXPECT_EQ(domain.at("/domain/os/cmdline"), spec.command_line);
    EXPECT_FALSE(domain.has("//disk"));
}

TEST(DomainXmlTest, LeavesAnEmptyTitleOut) {
    DomainSpec spec = domain_spec();
    spec.machine.title.clear();
    EXPECT_FALSE(ParsedDomain(spec).has("/domain/title"));
}

TEST(KernelCommandLineTest, NamesConsoleAndBootPortAndEndsWithTheOwnParameters) {
    VmSpec machine;
    EXPECT_THAT(kernel_command_line(machine, 1025), HasSubstr("cppvm.boot_port=1025"));
    machine.command_line = "cppvm.log=debug quiet";
    const std::string line = kernel_command_line(machine, 7);
    EXPECT_THAT(line, HasSubstr("console=ttyS0 "));
    EXPECT_THAT(line, HasSubstr("panic=-1"));
    EXPECT_TRUE(line.ends_with(" cppvm.boot_port=7 cppvm.log=debug quiet")) << line;
}

TEST(DomainXmlTest, HasAPortForEachDeviceThatMayComeOrGo) {
    DomainSpec spec = domain_spec();
    EXPECT_FALSE(ParsedDomain(spec).has("//controller[@model='pcie-root-port']"));
    spec.machine.hotplug_slots = 1;
    spec.machine.nics = {{"nic0", "cvtap0", "02:00:00:00:00:01"}};
    const ParsedDomain domain(spec);
    EXPECT_EQ(domain.at("//interface/target/@dev"), "cvtap0");
    EXPECT_EQ(domain.at("//interface/alias/@name"), "ua-nic0");
    EXPECT_FALSE(domain.has("//interface/address"));
    EXPECT_EQ(domain.at("//controller[@model='pcie-root-port'][1]/@index"), "1");
    EXPECT_EQ(domain.at("//controller[@model='pcie-root-port'][2]/@index"), "2");
}

TEST(DomainXmlTest, HasPortsForPciDevicesAfterAllOthers) {
    DomainSpec spec = domain_spec();
    spec.machine.hotplug_slots = 2;
    spec.machine.nics = {{"nic0", "cvtap0", "02:00:00:00:00:01"}};
    spec.machine.pci_ports = 2;
    const ParsedDomain domain(spec);
    EXPECT_FALSE(domain.has("//controller[@index='3']/address")) << "libvirt finds it a place";
    EXPECT_EQ(bus_of_pci_port(spec.machine, 0), 4U);
    EXPECT_EQ(domain.at("//controller[@index='4']/address/@slot"), "0x12");
    EXPECT_EQ(domain.at("//controller[@index='4']/address/@function"), "0x0");
    EXPECT_EQ(domain.at("//controller[@index='4']/address/@multifunction"), "on");
    EXPECT_EQ(domain.at("//controller[@index='5']/address/@slot"), "0x12");
    EXPECT_EQ(domain.at("//controller[@index='5']/address/@function"), "0x1");
    EXPECT_FALSE(domain.has("//controller[@index='6']"));
    EXPECT_EQ(guest_address_of_port(1), "0000:00:12.1");
}

std::string at(const std::string& xml, const char* path) {
    pugi::xml_document document;
    EXPECT_TRUE(document.load_string(xml.c_str())) << xml;
    const auto node = document.select_node(path);
    return node.attribute() ? node.attribute().value() : node.node().text().as_string();
}

TEST(DeviceXmlTest, DescribesAPciDeviceOfTheHost) {
    const std::string xml = to_pci_device_xml({"pci-1", "0000:3b:1f.7", "/dev/vfio/17", 2}, 19);
    EXPECT_EQ(at(xml, "/hostdev/@mode"), "subsystem");
    EXPECT_EQ(at(xml, "/hostdev/@type"), "pci");
    EXPECT_EQ(at(xml, "/hostdev/@managed"), "no") << "its driver is not libvirt's to change";
    EXPECT_EQ(at(xml, "/hostdev/driver/@name"), "vfio");
    EXPECT_EQ(at(xml, "/hostdev/source/address/@domain"), "0x0000");
    EXPECT_EQ(at(xml, "/hostdev/source/address/@bus"), "0x3b");
    EXPECT_EQ(at(xml, "/hostdev/source/address/@slot"), "0x1f");
    EXPECT_EQ(at(xml, "/hostdev/source/address/@function"), "0x7");
    EXPECT_EQ(at(xml, "/hostdev/alias/@name"), "ua-pci-1");
    EXPECT_EQ(at(xml, "/hostdev/address/@bus"), "0x13");
    EXPECT_EQ(at(xml, "/hostdev/address/@type"), "pci");
}

TEST(DeviceXmlTest, RefusesWhatIsNoPciAddress) {
    EXPECT_THROW(to_pci_device_xml({"pci-1", "vfio-platform.0", "/dev/vfio/17", 0}, 19), Error);
    EXPECT_THROW(to_pci_device_xml({"pci-1", "", "/dev/vfio/17", 0}, 19), Error);
}

TEST(DeviceXmlTest, DescribesADisk) {
    const std::string xml = to_disk_xml({"data", 0, true}, "/dev/a & b", 3);
    EXPECT_EQ(at(xml, "/disk/@type"), "block");
    EXPECT_EQ(at(xml, "/disk/source/@dev"), "/dev/a & b");
    EXPECT_EQ(at(xml, "/disk/driver/@discard"), "unmap");
    EXPECT_EQ(at(xml, "/disk/driver/@type"), "raw") << "what is in it must not choose the format";
    EXPECT_EQ(at(xml, "/disk/target/@dev"), "vdd");
    EXPECT_EQ(at(xml, "/disk/serial"), "data");
    EXPECT_EQ(at(xml, "/disk/alias/@name"), "ua-data");
    EXPECT_THAT(xml, HasSubstr("<readonly"));
    EXPECT_THAT(to_disk_xml({"data", 0, false}, "/dev/x", 0), Not(HasSubstr("readonly")));
}

TEST(DeviceXmlTest, DescribesANic) {
    const std::string xml = to_nic_xml({"eth1", "tap7", "02:00:00:00:00:01"});
    EXPECT_EQ(at(xml, "/interface/@type"), "ethernet");
    EXPECT_EQ(at(xml, "/interface/target/@dev"), "tap7");
    EXPECT_THAT(xml, Not(HasSubstr("queues")));
    EXPECT_EQ(at(xml, "/interface/mac/@address"), "02:00:00:00:00:01");
    EXPECT_EQ(at(xml, "/interface/alias/@name"), "ua-eth1");
    const std::string many = to_nic_xml({"eth1", "tap7", "02:00:00:00:00:01", 4});
    EXPECT_EQ(at(many, "/interface/driver/@queues"), "4");
}

TEST(DeviceXmlTest, FindsADeviceByItsName) {
    EXPECT_EQ(at(to_alias_xml("data"), "/device/alias/@name"), "ua-data");
}

} // namespace
} // namespace cppvm::vm
