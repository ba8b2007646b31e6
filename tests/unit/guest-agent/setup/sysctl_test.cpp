#include "common/base/error.hpp"
#include "guest-agent/setup/sysctl.hpp"

#include <gtest/gtest.h>

namespace cppvm::guest {
namespace {

TEST(SysctlPathTest, TakesBothForms) {
    EXPECT_EQ(sysctl_path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
    EXPECT_EQ(sysctl_path("net/ipv4/conf/eth0.1/forwarding"), "net/ipv4/conf/eth0.1/forwarding");
    EXPECT_EQ(sysctl_path("net.ipv4.conf.eth0/1.forwarding"), "net/ipv4/conf/eth0.1/forwarding");
    EXPECT_EQ(sysctl_path("kernel.shm_rmid_forced"), "kernel/shm_rmid_forced");
    EXPECT_EQ(sysctl_path("fs.mqueue.msg_max"), "fs/mqueue/msg_max");
    EXPECT_EQ(sysctl_path("kernel.domainname"), "kernel/domainname");
}

TEST(SysctlPathTest, RefusesWhatBelongsToTheMachine) {
    for (const char* key :
         {"",
          "kernel.panic",
          "kernel.shm",
          "vm.swappiness",
          "fs.file-max",
          "net",
          "netx.a",
          "net/../kernel/panic",
          "/net/ipv4",
          "kernel.hostname",
          "net/..",
          "../net/x"}) {
        EXPECT_THROW(sysctl_path(key), Error) << key;
    }
}

} // namespace
} // namespace cppvm::guest
