#include "host/check/isolation_checks.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>

namespace cppvm::check {
namespace {

using ::testing::HasSubstr;

// A host of files with every layer.
class IsolationChecksTest : public ::testing::Test {
  protected:
    IsolationChecksTest() {
        root_.write("etc/libvirt/qemu.conf", "#seccomp_sandbox = 0\nuser = \"x\"\n");
        root_.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
        root_.write("dev/vhost-vsock", "");
    }

    Check find(const std::string& name) {
        for (auto& check : check_isolation(config_, models_, root_.path())) {
            if (check.name == name) {
                return check;
            }
        }
        return {name, State::missing, "not looked at", {}};
    }

    void expect_warning(const std::string& name, const char* detail, const char* remedy) {
        const Check check = find(name);
        EXPECT_EQ(check.state, State::warning) << to_text(check);
        EXPECT_THAT(check.detail, HasSubstr(detail));
        EXPECT_THAT(check.remedy, HasSubstr(remedy));
    }

    testing::TempDir root_;
    config::Config config_;
    std::vector<std::string> models_ = {"apparmor", "dac"};
};

TEST_F(IsolationChecksTest, TellsEachLayerOfACompleteHost) {
    const auto checks = check_isolation(config_, models_, root_.path());
    EXPECT_EQ(checks.size(), 6U);
    for (const auto& check : checks) {
        EXPECT_EQ(check.state, State::ok) << to_text(check);
    }
    EXPECT_THAT(find("QEMU's user").detail, HasSubstr("2000000000 to 2099999999"));
    EXPECT_THAT(find("access control").detail, HasSubstr("apparmor"));
    EXPECT_THAT(find("cgroup").detail, HasSubstr("version 2"));
    EXPECT_THAT(find("vsock's carrier").detail, HasSubstr("kernel"));
}

TEST_F(IsolationChecksTest, WarnsOfEachLayerThatIsMissing) {
    models_ = {"none"};
    expect_warning("QEMU's user", "no dac security model", "qemu:///system");
    expect_warning("access control", "neither AppArmor nor SELinux", "kernel");
    root_.write("etc/libvirt/qemu.conf", "seccomp_sandbox=1\n seccomp_sandbox = 0\n");
    expect_warning("QEMU's seccomp", "seccomp_sandbox = 0", "restart libvirtd");
    std::filesystem::remove_all(root_ / "sys");
    expect_warning("cgroup", "neither limited nor accounted for", "mount");
}

TEST_F(IsolationChecksTest, TellsOtherWaysOfTheSame) {
    models_ = {"selinux", "dac"};
    EXPECT_THAT(find("access control").detail, HasSubstr("selinux"));
    config_.vsock.transport = "user";
    EXPECT_THAT(find("vsock's carrier").detail, HasSubstr("vhost-device-vsock"));
    std::filesystem::remove_all(root_ / "sys");
    root_.write("sys/fs/cgroup/memory/cgroup.procs", "");
    EXPECT_THAT(find("cgroup").detail, HasSubstr("version 1: memory;"));
    std::filesystem::remove_all(root_ / "etc");
    EXPECT_EQ(find("QEMU's seccomp").state, State::ok);
}

TEST_F(IsolationChecksTest, SaysNothingOfALibvirtThatDoesNotAnswer) {
    models_.clear();
    EXPECT_EQ(find("QEMU's user").detail, "not looked at");
    EXPECT_EQ(find("access control").detail, "not looked at");
}

} // namespace
} // namespace cppvm::check
