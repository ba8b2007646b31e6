// A pod's network namespace with real interfaces; the machine's taps are the test's.

#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "tests/integration/network/namespace_fixture.hpp"
#include "tests/integration/sandbox/sandbox_fixture.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <sys/mount.h>
#include <unistd.h>

namespace cppvm::sandbox {
namespace {

using network::testing::TestNamespace;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SandboxNetworkTest : public SandboxTest {
  protected:
    SandboxSpec spec(const std::string& sandbox = "n1") const {
        SandboxSpec made = sandbox_spec();
        // A name of its own: so are the taps, whose names all of this process's namespace share.
        made.identity =
            Identity("/run/test.sock", "tests", sandbox + "-" + std::to_string(::getpid()));
        made.pod.network = {
            network::NamespaceSpec::Kind::path,
            "/proc/self/fd/" + std::to_string(inside_.descriptor())
        };
        return made;
    }

    void plug_in(const std::string& name) { inside_.add_veth(name, outside_, "far-" + name); }

    /// The machine's side of its NICs, as long as the bench lives.
    void make_taps(Bench& bench) {
        bench.hypervisor.on_start = [this, &bench] {
            for (const vm::Nic& nic : bench.hypervisor.spec.nics) {
                taps_.push_back(network::testing::open_tap(nic.tap));
            }
        };
        bench.hypervisor.on_attach = [this](const vm::Device& device) {
            taps_.push_back(network::testing::open_tap(std::get<vm::Nic>(device).tap));
        };
    }

    static std::vector<std::string> interfaces(const Bench& bench) {
        std::vector<std::string> names;
        for (const auto& interface : bench.hypervisor.agent.network.interfaces()) {
            names.push_back(interface.name());
        }
        return names;
    }

    /// Of this name's interface.
    bool is_redirected(const std::string& name) {
        const auto redirected = inside_.ingress_qdiscs();
        return std::ranges::any_of(redirected, [&](int index) {
            return index == inside_.index_of(name);
        });
    }

    TestNamespace outside_;
    TestNamespace inside_;
    std::vector<UniqueFd> taps_;
};

TEST_F(SandboxNetworkTest, IsTheMachinesFromItsBoot) {
    plug_in("eth0");
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        make_taps(bench);
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        EXPECT_THAT(bench.hypervisor.spec.nics, SizeIs(1));
        EXPECT_THAT(interfaces(bench), ElementsAre("eth0"));
        EXPECT_TRUE(is_redirected("eth0"));
    });
    EXPECT_FALSE(is_redirected("eth0"));
}

TEST_F(SandboxNetworkTest, HasWhatComesBetweenCreateAndStart) {
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        make_taps(bench);
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        EXPECT_THAT(bench.hypervisor.spec.nics, IsEmpty());
        plug_in("eth0");
        co_await bench.sandbox.task("c1")->start("");
        EXPECT_THAT(interfaces(bench), ElementsAre("eth0"));
        const auto& calls = bench.hypervisor.agent.calls;
        EXPECT_LT(
            std::ranges::find(calls, "set_network"), std::ranges::find(calls, "start_container")
        );
    });
    EXPECT_FALSE(is_redirected("eth0"));
}

TEST_F(SandboxNetworkTest, FollowsWhatComesAndGoes) {
    plug_in("eth0");
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        make_taps(bench);
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        co_await bench.sandbox.task("c1")->start("");
        plug_in("net1");
        co_await until([&] { return interfaces(bench).size() == 2; });
        inside_.remove("eth0");
        co_await until([&] { return interfaces(bench).size() == 1; });
        EXPECT_THAT(interfaces(bench), ElementsAre("net1"));
        EXPECT_THAT(bench.hypervisor.detached, ElementsAre("nic0"));
    });
}

TEST_F(SandboxNetworkTest, TriesAgainWhatHasFailed) {
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        bool fails = true;
        make_taps(bench);
        const auto attach = bench.hypervisor.on_attach;
        bench.hypervisor.on_attach = [&](const vm::Device& device) {
            if (std::exchange(fails, false)) {
                throw Error(Code::unknown, "no port is free");
            }
            attach(device);
        };
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        co_await bench.sandbox.task("c1")->start("");
        plug_in("net1");
        co_await until([&] { return interfaces(bench).size() == 1; });
        EXPECT_FALSE(fails);
    });
}

TEST_F(SandboxNetworkTest, SaysWhichInterfaceHasNoTap) {
    plug_in("eth0");
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        const Status status = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_THAT(status.message, HasSubstr("join network interface eth0 to the machine"));
        EXPECT_TRUE(bench.sandbox.empty());
    });
    EXPECT_FALSE(is_redirected("eth0"));
}

TEST_F(SandboxNetworkTest, SaysWhatTheHostLacksForInterfaces) {
    ASSERT_EQ(::mount("none", "/dev/net", "tmpfs", 0, nullptr), 0) << std::strerror(errno);
    const ScopeExit unmount([] { ::umount2("/dev/net", MNT_DETACH); });
    const auto names_all = AllOf(
        HasSubstr("give network interface eth0 to the machine"),
        HasSubstr("no /dev/net/tun"),
        HasSubstr("modprobe tun")
    );
    with_sandbox(spec(), [this, &names_all](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        plug_in("eth0");
        const Status status = co_await status_of(bench.sandbox.task("c1")->start(""));
        EXPECT_THAT(status.message, names_all);
    });
    with_sandbox(spec("n2"), [this, &names_all](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        const Status status = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_THAT(status.message, names_all);
        EXPECT_TRUE(bench.sandbox.empty());
    });
    EXPECT_FALSE(is_redirected("eth0"));
}

TEST_F(SandboxNetworkTest, LeavesNothingWhenTheGuestRefusesIt) {
    plug_in("eth0");
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        make_taps(bench);
        bench.hypervisor.agent.on_call = [](const std::string& rpc) -> bool {
            if (rpc == "set_network") {
                throw Error(Code::unknown, "configure network interface eth0: no memory");
            }
            return true;
        };
        bench.sandbox.boot();
        const Status status = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_THAT(status.message, HasSubstr("configure network interface eth0: no memory"));
        EXPECT_TRUE(bench.sandbox.empty());
    });
    EXPECT_FALSE(is_redirected("eth0"));
}

TEST_F(SandboxNetworkTest, IsRefusedWhereNoMachineCanHaveIt) {
    plug_in("eth0");
    plug_in("net1");
    inside_.set_mac("eth0", {2, 0, 0, 0, 0, 7});
    inside_.set_mac("net1", {2, 0, 0, 0, 0, 7});
    with_sandbox(spec(), [this](Bench& bench) -> Awaitable<> {
        make_taps(bench);
        bench.sandbox.boot();
        const Status status = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_THAT(status.message, HasSubstr("eth0 and net1 have the same MAC address"));
    });
}

TEST_F(SandboxNetworkTest, OfTheHostIsRefusedOrNone) {
    for (const char* how : {"refuse", "none"}) {
        SandboxSpec made = spec();
        made.pod.network = {};
        made.config.network.host = how;
        with_sandbox(std::move(made), [&, this](Bench& bench) -> Awaitable<> {
            bench.sandbox.boot();
            const Status status = co_await status_of(bench.sandbox.create(container("c1")));
            if (std::string(how) == "refuse") {
                EXPECT_EQ(status.code, Code::failed_precondition);
                EXPECT_THAT(status.message, HasSubstr("set network.host = \"user\""));
            } else {
                EXPECT_EQ(status.code, Code::ok) << status.message;
                EXPECT_THAT(interfaces(bench), IsEmpty());
            }
        });
    }
}

} // namespace
} // namespace cppvm::sandbox
