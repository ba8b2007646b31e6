#include "common/network/message.hpp"
#include "tests/support/failure_of.hpp"

#include <gmock/gmock.h>

namespace cppvm::network {
namespace {

using asio::ip::make_address;
using cppvm::testing::failure_of;
using ::testing::HasSubstr;

State whole_state() {
    State state;
    state.interfaces = {
        {"eth0",
         {2, 0, 0, 0, 0, 1},
         9000,
         0x1003,
         1,
         {{{make_address("10.1.0.2"), 16}, {}, make_address("10.1.255.255"), 0, 0x200},
          {{make_address("10.2.0.2"), 32}, make_address("10.2.0.1"), {}, 253, 0},
          {{make_address("fd00::2"), 64}, {}, {}, 0, 2}}},
    };
    state.routes = {
        {2,
         {},
         make_address("10.1.0.2"),
         16,
         254,
         4,
         0,
         1,
         7,
         {{2, 1300}},
         {{"eth0", make_address("10.1.0.1"), 2, 4}}},
        {10, Prefix{make_address("fd01::"), 48}, {}, 0, 254, 4, 0, 7, 1024, {}, {}},
    };
    state.neighbours = {
        {"eth0", make_address("10.1.0.1"), MacAddress{2, 0, 0, 0, 0, 9}, 0},
        {"eth0", make_address("fd00::9"), {}, 8},
    };
    state.rules = {
        {2, 100, 7, 1, 0, Prefix{make_address("10.0.0.0"), 8}, {}, "eth0", "", 5, 0xff, 4},
    };
    return state;
}

TEST(NetworkMessageTest, LosesNothing) {
    EXPECT_EQ(to_state(to_message(whole_state())), whole_state());
}

TEST(NetworkMessageTest, RefusesWhatIsNoAddress) {
    auto message = to_message(whole_state());
    message.mutable_neighbours(0)->set_address("abc");
    EXPECT_THAT(failure_of([&] { to_state(message); }), HasSubstr("an address has 3 bytes"));
    message = to_message(whole_state());
    message.mutable_interfaces(0)->set_mac("abc");
    EXPECT_THAT(failure_of([&] { to_state(message); }), HasSubstr("a MAC address has 3 bytes"));
}

TEST(NetworkMessageTest, RefusesNumbersOutOfRange) {
    auto message = to_message(whole_state());
    message.mutable_routes(0)->set_tos(256);
    EXPECT_THAT(failure_of([&] { to_state(message); }), HasSubstr("out of range: 256"));
    message = to_message(whole_state());
    message.mutable_routes(1)->mutable_destination()->set_length(129);
    EXPECT_THAT(failure_of([&] { to_state(message); }), HasSubstr("a prefix has 129 bits"));
}

} // namespace
} // namespace cppvm::network
