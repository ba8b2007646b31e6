#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "host/vm/vsock/vsock.hpp"
#include "tests/support/co_test.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
// After sys/socket.h, which it relies on.
#include <linux/vm_sockets.h>
#include <set>
#include <vector>

namespace cppvm::vm {
namespace {

// Needs the module vsock_loopback (in vsock(7): VMADDR_CID_LOCAL).
UniqueFd connect_locally(std::uint32_t port) {
    UniqueFd socket(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_vm address{};
    address.svm_family = AF_VSOCK;
    address.svm_cid = VMADDR_CID_LOCAL;
    address.svm_port = port;
    timeval limit{.tv_sec = 1, .tv_usec = 0};
    ::setsockopt(socket.get(), AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, &limit, sizeof limit);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return {};
    }
    return socket;
}

class KernelVsockTest : public ::testing::Test {
  protected:
    void SetUp() override {
        const UniqueFd probe(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_vm address{};
        address.svm_family = AF_VSOCK;
        address.svm_cid = VMADDR_CID_LOCAL;
        address.svm_port = VMADDR_PORT_ANY;
        // Only where a transport carries this CID is it an address of this host.
        if (!probe ||
            ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            GTEST_SKIP() << "no local vsock: modprobe vsock_loopback";
        }
    }
};

TEST_F(KernelVsockTest, TakesAnEarlyConnectionOfItsGuest) {
    testing::co_test([]() -> Awaitable<> {
        auto vsock = make_kernel_vsock(co_await asio::this_coro::executor);
        const UniqueFd guest = connect_locally(vsock->boot_port());
        EXPECT_TRUE(guest);
        vsock->set_guest_cid(VMADDR_CID_LOCAL);
        const StreamSocket accepted = co_await vsock->accept();
        EXPECT_TRUE(accepted.is_open());
    }());
}

TEST_F(KernelVsockTest, HasRoomForManyThatOthersMake) {
    testing::co_test([]() -> Awaitable<> {
        auto vsock = make_kernel_vsock(co_await asio::this_coro::executor);
        std::vector<UniqueFd> connections;
        for (int i = 0; i < 100; ++i) {
            connections.push_back(connect_locally(vsock->boot_port()));
            EXPECT_TRUE(connections.back()) << i;
        }
        vsock->set_guest_cid(VMADDR_CID_LOCAL);
        const StreamSocket accepted = co_await vsock->accept();
        EXPECT_TRUE(accepted.is_open());
    }());
}

TEST_F(KernelVsockTest, DropsTheConnectionsOfOthers) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        auto vsock = make_kernel_vsock(executor);
        vsock->set_guest_cid(4000);
        const UniqueFd foreign = connect_locally(vsock->boot_port());
        EXPECT_TRUE(foreign);
        try {
            co_await with_timeout(
                vsock->accept(), deadline_in(std::chrono::milliseconds(200)), "accept"
            );
            ADD_FAILURE() << "a foreign guest was accepted";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::deadline_exceeded);
        }
        char byte = 0;
        EXPECT_LE(::recv(foreign.get(), &byte, 1, 0), 0);
    }());
}

TEST(KernelVsockPortTest, IsDrawnAtRandom) {
    const UniqueFd probe(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!probe) {
        GTEST_SKIP() << "no AF_VSOCK: modprobe vsock";
    }
    asio::io_context loop;
    std::set<std::uint32_t> ports;
    for (int i = 0; i < 8; ++i) {
        const std::uint32_t port = make_kernel_vsock(loop.get_executor())->boot_port();
        EXPECT_GE(port, 1U << 31U);
        EXPECT_NE(port, VMADDR_PORT_ANY);
        ports.insert(port);
    }
    EXPECT_EQ(ports.size(), 8U);
    EXPECT_GT(*ports.rbegin() - *ports.begin(), 1000U) << "they follow each other";
}

} // namespace
} // namespace cppvm::vm
