#include "common/base/error.hpp"
#include "common/wire/ports.hpp"
#include "common/wire/preamble.hpp"
#include "host/vm/vsock/hello.hpp"
#include "proto/cppvm/agent.pb.h"
#include "tests/support/co_test.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

namespace cppvm::vm {
namespace {

using ::testing::HasSubstr;
using Socket = asio::local::stream_protocol::socket;

agent::v2::Hello message() {
    agent::v2::Hello hello;
    hello.set_protocol_version(1);
    hello.set_build_id("0.1.0-abc");
    hello.set_kernel_release("6.1.0-56-cloud-amd64");
    auto* const phase = hello.add_phases();
    phase->set_name("init");
    phase->set_ended_at_us(1500000);
    return hello;
}

TEST(HelloTest, DecodesWhatTheAgentSays) {
    const AgentHello hello = decode_hello(message().SerializeAsString());
    EXPECT_EQ(hello.protocol_version, 1U);
    EXPECT_EQ(hello.build_id, "0.1.0-abc");
    EXPECT_EQ(hello.kernel_release, "6.1.0-56-cloud-amd64");
    ASSERT_EQ(hello.phases_us.size(), 1U);
    EXPECT_EQ(hello.phases_us[0].first, "init");
    EXPECT_EQ(hello.phases_us[0].second, 1500000U);
}

TEST(HelloTest, CutsAndCleansTexts) {
    auto hello = message();
    hello.set_build_id("a\nb\x1b[2J" + std::string(10000, 'x'));
    const AgentHello decoded = decode_hello(hello.SerializeAsString());
    EXPECT_EQ(decoded.build_id.size(), 128U);
    EXPECT_TRUE(decoded.build_id.starts_with("a?b?[2Jx")) << decoded.build_id;
}

TEST(HelloTest, RefusesWhatIsMalformedOrTooMuch) {
    EXPECT_THROW(decode_hello("\xff\xff\xff"), Error);
    auto hello = message();
    for (int i = 0; i < 100; ++i) {
        hello.add_phases();
    }
    EXPECT_THROW(decode_hello(hello.SerializeAsString()), Error);
}

// A vsock whose guest is the test.
class ScriptedVsock : public Vsock {
  public:
    explicit ScriptedVsock(std::vector<Socket> connections)
        : connections_(std::move(connections)) {}

    Awaitable<> prepare(Deadline /*deadline*/) override { co_return; }
    std::optional<std::filesystem::path> device_socket() const override { return std::nullopt; }
    void set_guest_cid(std::uint32_t /*cid*/) noexcept override {}
    std::uint32_t boot_port() const noexcept override { return 1; }
    Awaitable<StreamSocket> accept() override {
        if (next_ == connections_.size()) {
            throw Error(Code::cancelled, "nobody comes any more");
        }
        co_return StreamSocket(std::move(connections_[next_++]));
    }
    void stop_listening() noexcept override {}
    void end() noexcept override {}
    Awaitable<StreamSocket> dial(std::uint32_t /*port*/) override {
        throw Error(Code::unavailable, "not in this test");
    }

  private:
    std::vector<Socket> connections_;
    std::size_t next_ = 0;
};

std::string framed(std::uint32_t length, std::string_view body) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<char>(length >> shift));
    }
    return bytes.append(body);
}

// What receive_hello makes of a guest that connects for each of `texts`, and closes after it.
// `answer`: what the last connection got.
Awaitable<AgentHello> receive(std::vector<std::string> texts, std::string* answer) {
    auto executor = co_await asio::this_coro::executor;
    std::vector<Socket> hosts;
    std::vector<Socket> guests;
    for (const auto& text : texts) {
        asio::local::connect_pair(hosts.emplace_back(executor), guests.emplace_back(executor));
        co_await asio::async_write(guests.back(), asio::buffer(text), asio::use_awaitable);
        guests.back().shutdown(Socket::shutdown_send);
    }
    ScriptedVsock vsock(std::move(hosts));
    AgentHello hello = co_await receive_hello(vsock);
    co_await asio::async_read(guests.back(), asio::dynamic_buffer(*answer), use_tuple);
    co_return hello;
}

std::string complete() {
    const std::string body = message().SerializeAsString();
    return framed(static_cast<std::uint32_t>(body.size()), body);
}

TEST(HelloTest, AcceptsTheGuestWithOneByte) {
    testing::co_test([]() -> Awaitable<> {
        std::string answer;
        const AgentHello hello = co_await receive({complete()}, &answer);
        EXPECT_EQ(hello.build_id, "0.1.0-abc");
        EXPECT_EQ(answer, std::string(1, static_cast<char>(wire::accepted)));
    }());
}

Awaitable<> expect_refused(std::string bytes) {
    std::string answer;
    try {
        co_await receive({std::move(bytes), complete()}, &answer);
        ADD_FAILURE() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::unavailable) << error.message();
    }
}

TEST(HelloTest, RefusesLengthsBeyondTheLimitWithoutReading) {
    testing::co_test(expect_refused(framed(wire::max_hello_bytes + 1, "")));
    testing::co_test(expect_refused(framed(0xffffffff, "")));
}

// A connection that the guest's kernel gives up, on a host that is busy, comes again.
TEST(HelloTest, WaitsForTheNextAfterOneThatWasCutOff) {
    testing::co_test([]() -> Awaitable<> {
        std::string answer;
        const AgentHello hello =
            co_await receive({"", "x", framed(100, "short"), complete()}, &answer);
        EXPECT_EQ(hello.build_id, "0.1.0-abc");
        EXPECT_EQ(answer, std::string(1, static_cast<char>(wire::accepted)));
    }());
}

} // namespace
} // namespace cppvm::vm
