#include "tests/integration/vm/vm_fixture.hpp"

#include "common/os/file.hpp"
#include "host/check/host_checks.hpp"
#include "host/vm/leftovers.hpp"
#include "host/vm/libvirt/libvirtd_check.hpp"
#include "host/vm/qemu_process.hpp"
#include "tests/support/co_test.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <sys/random.h>
#include <unistd.h>

namespace cppvm::vm {

namespace {

// What the environment names, else the first that exists of what builds leave, else nothing.
std::filesystem::path
from_environment(const char* name, std::initializer_list<std::filesystem::path> places) {
    const char* const value = std::getenv(name);
    if (value != nullptr) {
        return value;
    }
    for (const auto& place : places) {
        if (std::filesystem::exists(place)) {
            return place;
        }
    }
    return {};
}

std::string random_hex(std::size_t bytes) {
    std::string text;
    for (std::size_t i = 0; i < bytes; ++i) {
        unsigned char byte = 0;
        EXPECT_EQ(::getrandom(&byte, 1, 0), 1);
        std::array<char, 3> digits{};
        std::snprintf(digits.data(), digits.size(), "%02x", byte);
        text.append(digits.data());
    }
    return text;
}

} // namespace

void VmFixture::SetUp() {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "needs root";
    }
    const std::filesystem::path build = CPPVM_BUILD_DIR;
    // Where it really is: QEMU's user may not come to the build directory.
    const auto image = std::filesystem::weakly_canonical(
        from_environment("CPPVM_TEST_IMAGE", {build / "image", build / "stage/share/cppvm"})
    );
    config_.vm.kernel = image / "vmlinuz";
    config_.vm.initramfs = image / "initramfs.img";
    config_.vm.memory_mib = 256;
    config_.hypervisor.libvirt_helper = CPPVM_LIBVIRT_HELPER;
    config_.hypervisor.virtiofsd = from_environment(
        "CPPVM_TEST_VIRTIOFSD", {"/usr/libexec/virtiofsd", build / "stage/libexec/cppvm/virtiofsd"}
    );
    config_.vsock.vhost_device_vsock = from_environment(
        "CPPVM_TEST_VHOST_DEVICE_VSOCK", {build / "stage/libexec/cppvm/vhost-device-vsock"}
    );
    if (check::HostChecks(config_).acceleration().state == check::State::missing) {
        config_.hypervisor.acceleration = "emulation";
    }
    for (const check::Check& found : check::HostChecks(config_).before_start()) {
        if (found.state == check::State::missing) {
            GTEST_SKIP() << to_text(found);
        }
    }
    LibvirtdCheck libvirtd;
    testing::co_test([](config::Config config, LibvirtdCheck& result) -> Awaitable<> {
        result = co_await check_libvirtd(config, deadline_in(std::chrono::seconds(10)));
    }(config_, libvirtd));
    if (libvirtd.check.state == check::State::missing) {
        GTEST_SKIP() << to_text(libvirtd.check);
    }
    const std::string id = random_hex(8);
    name_ = "cppvm-" + id;
    uuid_ = id.substr(0, 8) + "-" + id.substr(8, 4) + "-8" + id.substr(12, 3) + "-8000-" +
            random_hex(6);
    run_dir_ = "/run/cppvm-test-" + id;
    make_directory(run_dir_, 0711);
    make_directory(run_dir_ / "share", 0700);
}

void VmFixture::TearDown() {
    if (run_dir_.empty()) {
        return;
    }
    for (const auto& left : leftovers()) {
        ADD_FAILURE() << "left behind: " << left;
    }
    if (HasFailure()) {
        std::fputs(log_.text().c_str(), stderr);
        // So that a failure does not spoil other tests.
        testing::co_test([](MachineNames names, config::Config config) -> Awaitable<> {
            kill_leftover_processes(names, {});
            co_await undo_leftovers(names, config, {}, deadline_in(std::chrono::seconds(10)));
        }(this->names(), config_));
    }
    std::filesystem::remove_all(run_dir_);
}

bool VmFixture::is_qemu(const ProcessId& process) const {
    return is_qemu_of(process, uuid_); // a zombie has no command line any more
}

VmSpec VmFixture::spec() const {
    VmSpec spec;
    spec.name = name_;
    spec.uuid = uuid_;
    spec.title = "test/" + name_;
    spec.memory_mib = config_.vm.memory_mib;
    spec.kernel = config_.vm.kernel;
    spec.initramfs = config_.vm.initramfs;
    spec.run_dir = run_dir_;
    spec.share_dir = run_dir_ / "share";
    return spec;
}

std::vector<std::string> VmFixture::leftovers() const {
    std::vector<std::string> left;
    for (const auto& process : find_machine_processes(uuid_, run_dir_ / "share")) {
        left.push_back("process " + std::to_string(process.pid));
    }
    const std::array<std::filesystem::path, 3> directories = {
        run_dir_, "/run/libvirt/qemu", "/var/log/libvirt/qemu"
    };
    for (const auto& directory : directories) {
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
            const std::string file = entry.path().filename();
            const bool ours = directory == run_dir_ || file.find(name_) != std::string::npos;
            if (ours && file != "share" && !file.starts_with("console.log")) {
                left.push_back(entry.path());
            }
        }
    }
    return left;
}

} // namespace cppvm::vm
