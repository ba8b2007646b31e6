#include "host/vm/libvirt/libvirtd_check.hpp"
#include "proto/cppvm/libvirt.pb.h"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

namespace cppvm::vm {
namespace {

class LibvirtdCheckTest : public ::testing::Test {
  protected:
    LibvirtdCheckTest() { config_.hypervisor.libvirt_helper = root_ / "cppvm-libvirt"; }

    void answer(const helper::v1::Response& response) const {
        const auto bytes = root_.write("answer", response.SerializeAsString());
        root_.write("cppvm-libvirt", "#!/bin/sh\ncat " + bytes.native() + "\n");
        std::filesystem::permissions(root_ / "cppvm-libvirt", std::filesystem::perms(0755));
    }

    void expect(check::State expected) const {
        testing::co_test([](config::Config config, check::State state) -> Awaitable<> {
            const LibvirtdCheck found =
                co_await check_libvirtd(config, deadline_in(std::chrono::seconds(5)));
            EXPECT_EQ(found.check.state, state) << to_text(found.check);
        }(config_, expected));
    }

    testing::TempDir root_;
    config::Config config_;
};

TEST_F(LibvirtdCheckTest, AsksThroughTheHelper) {
    helper::v1::Response response;
    response.set_version(9000000);
    answer(response);
    expect(check::State::ok);
    response.mutable_error()->set_code(static_cast<int>(Code::unavailable));
    response.mutable_error()->set_message("no socket");
    answer(response);
    expect(check::State::missing);
}

TEST_F(LibvirtdCheckTest, WantsTheHelper) {
    expect(check::State::missing);
}

} // namespace
} // namespace cppvm::vm
