#include "common/base/error.hpp"
#include "host/check/host_checks.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>

namespace cppvm::check {
namespace {

using ::testing::HasSubstr;

// A host of files, in which everything is as it should be.
class HostChecksTest : public ::testing::Test {
  protected:
    HostChecksTest() {
        root_.write("dev/kvm", "");
        set_mode("dev/kvm", 0666);
        root_.write("dev/vhost-vsock", "");
        root_.write("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vmx sse\n");
        root_.write("proc/meminfo", "MemTotal:  9000000 kB\nMemAvailable:    2097152 kB\n");
        root_.write("usr/share/qemu/qboot.rom", "");
        for (const char* program : {"qemu", "virtiofsd", "cppvm-libvirt", "vhost-device-vsock"}) {
            root_.write(program, "#!/bin/sh\n");
            set_mode(program, 0755);
        }
        config_.hypervisor.emulator = root_ / "qemu";
        config_.hypervisor.virtiofsd = root_ / "virtiofsd";
        config_.hypervisor.libvirt_helper = root_ / "cppvm-libvirt";
        config_.vsock.vhost_device_vsock = root_ / "vhost-device-vsock";
        config_.vm.kernel = root_.write("vmlinuz", "k");
        config_.vm.initramfs = root_.write("initramfs.img", "i");
        config_.run_dir = "/tmp";
    }

    void set_mode(const char* path, unsigned mode) const {
        std::filesystem::permissions(root_ / path, std::filesystem::perms(mode));
    }

    HostChecks checks() const { return HostChecks(config_, root_.path()); }

    static void expect_missing(const Check& check, const char* detail, const char* remedy) {
        EXPECT_EQ(check.state, State::missing) << to_text(check);
        EXPECT_THAT(check.detail, HasSubstr(detail));
        EXPECT_THAT(check.remedy, HasSubstr(remedy));
    }

    testing::TempDir root_;
    config::Config config_;
};

TEST_F(HostChecksTest, AcceptsACompleteHost) {
    for (const Check& check : checks().before_start()) {
        EXPECT_EQ(check.state, State::ok) << to_text(check);
        EXPECT_EQ(check.remedy, "") << check.name;
        EXPECT_NO_THROW(require(check));
    }
}

TEST_F(HostChecksTest, DoesWithoutQbootUnlessItIsWanted) {
    std::filesystem::remove(root_ / "usr/share/qemu/qboot.rom");
    const Check check = checks().firmware();
    EXPECT_EQ(check.state, State::warning) << to_text(check);
    EXPECT_THAT(check.detail, HasSubstr("qboot.rom: No such file"));
    EXPECT_THAT(check.remedy, HasSubstr("qemu-system-data"));
    config_.vm.firmware = "qboot";
    expect_missing(checks().firmware(), "qboot.rom: No such file", "firmware = \"auto\"");
    config_.vm.firmware = "seabios";
    EXPECT_EQ(checks().firmware().state, State::ok);
}

TEST_F(HostChecksTest, WantsTheKvmDevice) {
    std::filesystem::remove(root_ / "dev/kvm");
    expect_missing(checks().acceleration(), "/dev/kvm", "modprobe");
    expect_missing(checks().acceleration(), "No such file", "acceleration = \"emulation\"");
}

TEST_F(HostChecksTest, DoesNotTrustAKvmDeviceWithoutProcessorSupport) {
    root_.write("proc/cpuinfo", "flags\t\t: fpu vmx_like svmx sse\n");
    expect_missing(checks().acceleration(), "no vmx or svm", "acceleration = \"emulation\"");
    root_.write("proc/cpuinfo", "flags\t\t: fpu svm\n");
    EXPECT_EQ(checks().acceleration().state, State::ok);
}

TEST_F(HostChecksTest, NeedsNoKvmForEmulation) {
    std::filesystem::remove(root_ / "dev/kvm");
    root_.write("proc/cpuinfo", "");
    config_.hypervisor.acceleration = "emulation";
    EXPECT_EQ(checks().acceleration().state, State::ok);
    EXPECT_EQ(checks().kvm_permissions().state, State::ok);
}

TEST_F(HostChecksTest, SeesThatQemusUserCannotOpenKvm) {
    set_mode("dev/kvm", 0600);
    expect_missing(checks().kvm_permissions(), "/dev/kvm", "chgrp kvm");
    config_.hypervisor.acceleration = "emulation";
    EXPECT_EQ(checks().kvm_permissions().state, State::warning);
    EXPECT_NO_THROW(require(checks().kvm_permissions()));
}

TEST_F(HostChecksTest, SaysWhatNetworkInterfacesNeed) {
    const Check without = checks().taps();
    EXPECT_EQ(without.state, State::warning);
    EXPECT_EQ(
        to_text(without), "network interfaces: no /dev/net/tun; load the module: modprobe tun"
    );
    std::filesystem::create_directories(root_ / "dev/net");
    root_.write("dev/net/tun", "");
    EXPECT_EQ(checks().taps().state, State::ok);
}

TEST_F(HostChecksTest, TakesTheKernelsVsockWhereItIs) {
    EXPECT_FALSE(checks().user_vsock());
    config_.vsock.transport = "user";
    EXPECT_TRUE(checks().user_vsock());
    config_.vsock.transport = "auto";
    std::filesystem::remove(root_ / "dev/vhost-vsock");
    EXPECT_TRUE(checks().user_vsock());
    EXPECT_EQ(checks().vsock().state, State::ok);
    config_.vsock.transport = "kernel";
    EXPECT_FALSE(checks().user_vsock());
    expect_missing(checks().vsock(), "no /dev/vhost-vsock", "modprobe vhost_vsock");
}

TEST_F(HostChecksTest, WantsAProgramForTheUserVsock) {
    std::filesystem::remove(root_ / "dev/vhost-vsock");
    config_.vsock.vhost_device_vsock = root_ / "absent";
    expect_missing(checks().vsock(), "absent", "install vhost-device-vsock");
}

TEST_F(HostChecksTest, SeesThatAppArmorKeepsQemuFromAFile) {
    config_.vm.kernel = "/etc/passwd"; // any file in one of those directories
    EXPECT_EQ(checks().kernel().state, State::ok);
    root_.write("sys/kernel/security/apparmor/profiles", "a (enforce)\nlibvirtd (enforce)\n");
    expect_missing(checks().kernel(), "AppArmor", "/var/lib/cppvm");
    EXPECT_EQ(checks().initramfs().state, State::ok);
    root_.write(
        "sys/kernel/security/apparmor/profiles", "libvirtd//qemu_bridge_helper (enforce)\n"
    );
    EXPECT_EQ(checks().kernel().state, State::ok);
}

TEST_F(HostChecksTest, NamesMissingFilesAndWhatMakesThem) {
    config_.vm.kernel = root_ / "no-kernel";
    expect_missing(checks().kernel(), "no-kernel: No such file", "cppvm image build");
    config_.vm.initramfs = root_.write("empty", "");
    expect_missing(checks().initramfs(), "not a file with content", "cppvm image build");
    set_mode("initramfs.img", 0600);
    config_.vm.initramfs = root_ / "initramfs.img";
    expect_missing(checks().initramfs(), "not readable", "chmod a+r");
    config_.vm.kernel = root_.path();
    expect_missing(checks().kernel(), "not a file", "[vm]");
    config_.hypervisor.emulator = root_ / "no-qemu";
    expect_missing(checks().emulator(), "no-qemu", "qemu-system-x86");
    config_.hypervisor.virtiofsd = root_ / "no-virtiofsd";
    expect_missing(checks().virtiofsd(), "no-virtiofsd", "virtiofsd");
    config_.hypervisor.libvirt_helper = root_ / "no-helper";
    expect_missing(checks().libvirt_helper(), "no-helper", "libvirt_helper");
}

TEST_F(HostChecksTest, ComparesTheMachinesMemoryWithWhatIsAvailable) {
    config_.vm.memory_mib = 2048;
    EXPECT_EQ(checks().memory().state, State::ok);
    config_.vm.memory_mib = 2049;
    expect_missing(checks().memory(), "2048 MiB available", "memory_mib");
    root_.write("proc/meminfo", "nonsense\n");
    EXPECT_EQ(checks().memory().state, State::warning);
}

TEST_F(HostChecksTest, WantsHugePagesForTheWholeMachine) {
    config_.vm.memory_mib = 512;
    config_.vm.huge_page_mib = 2;
    expect_missing(checks().memory(), "0 huge pages of 2 MiB free", "nr_hugepages");
    const std::string pool = "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    root_.write(pool, "255\n");
    expect_missing(
        checks().memory(), "255 huge pages of 2 MiB free, a machine takes 256", "nr_hugepages"
    );
    root_.write(pool, "256\n");
    EXPECT_EQ(checks().memory().state, State::ok);
    config_.vm.huge_page_mib = 1024;
    expect_missing(checks().memory(), "not a multiple of the page size of 1024 MiB", "memory_mib");
}

TEST_F(HostChecksTest, WantsARunDirectoryThatCanBeMadeAndIsShort) {
    config_.run_dir = "/tmp/a/b/c";
    EXPECT_EQ(checks().run_dir().state, State::ok);
    config_.run_dir = root_.write("file", "") / "a";
    expect_missing(checks().run_dir(), "file: not a directory", "set run_dir");
    config_.run_dir = "/tmp/" + std::string(80, 'x');
    expect_missing(checks().run_dir(), "too long", "shorter");
}

TEST_F(HostChecksTest, SeesDaemonsThatDoNotAnswer) {
    expect_missing(checks().virtlogd(), "does not answer", "virtlogd -d");
    EXPECT_EQ(checks().containerd().state, State::warning);
    config_.hypervisor.uri = "qemu:///session";
    EXPECT_EQ(checks().virtlogd().state, State::ok);
}

TEST_F(HostChecksTest, ThrowsWhatIsMissingWithItsRemedy) {
    const Check check{"KVM", State::missing, "no device", "load it"};
    try {
        require(check);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::failed_precondition);
        EXPECT_EQ(error.message(), "KVM: no device; load it");
    }
}

} // namespace
} // namespace cppvm::check
