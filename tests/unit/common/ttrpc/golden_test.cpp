// Bytes that an encoder independent of ours made from the published field tables.

#include "common/ttrpc/envelope.hpp"
#include "common/ttrpc/frame.hpp"
#include "proto/containerd/bootstrap.pb.h"
#include "proto/containerd/runtimeoptions.pb.h"
#include "proto/containerd/task.pb.h"
#include "tests/support/hex.hpp"

#include <google/protobuf/any.pb.h>
#include <gtest/gtest.h>

namespace cppvm::ttrpc {

namespace {

using cppvm::testing::from_hex;

const std::string connect_request = from_hex(
    "0000004f 00000001 01 00"
    "0a17 636f6e7461696e6572642e7461736b2e76332e5461736b 1207 436f6e6e656374 1a03 0a0161"
    "20 80e497d012 2a20 0a1a 636f6e7461696e6572642d6e616d6573706163652d7474727063 1202 6e73"
);
const std::string connect_response = from_hex("00000006 00000001 02 00 1204 0807 1009");
const std::string not_found_response =
    from_hex("00000017 00000003 02 00 0a15 0805 1211 7461736b20613a206e6f7420666f756e64");
const std::string bootstrap_result =
    from_hex("0803 121a 756e69783a2f2f2f72756e2f636f6e7461696e6572642f732f78 1a05 7474727063");
const std::string bootstrap_params =
    from_hex("0a0161 12026e73 18fcffffffffffffffff01 2205322e332e34 42020a00");
const std::string legacy_options = from_hex(
    "0a19 72756e74696d656f7074696f6e732e76312e4f7074696f6e73 120d 120b 2f6574632f782e746f6d6c"
);

Frame only_frame(std::string_view bytes) {
    FrameDecoder decoder;
    auto frame = decoder.next(bytes);
    EXPECT_TRUE(frame && bytes.empty());
    return frame.value_or(Frame{});
}

TEST(GoldenBytesTest, RequestHasTheseBytes) {
    ::containerd::task::v3::ConnectRequest connect;
    connect.set_id("a");
    const Request request{
        .service = "containerd.task.v3.Task",
        .method = "Connect",
        .payload = connect.SerializeAsString(),
        .timeout_nano = 5'000'000'000,
        .metadata = {{"containerd-namespace-ttrpc", "ns"}},
    };
    EXPECT_EQ(encode_request(1, 0, request), connect_request);
    const Frame frame = only_frame(connect_request);
    EXPECT_EQ(frame.header, (FrameHeader{.length = 79, .stream = 1}));
    EXPECT_EQ(decode_request(frame.payload).value(), request);
}

TEST(GoldenBytesTest, ResponseHasTheseBytes) {
    ::containerd::task::v3::ConnectResponse connect;
    connect.set_shim_pid(7);
    connect.set_task_pid(9);
    const Response response{.status = {}, .payload = connect.SerializeAsString()};
    EXPECT_EQ(encode_response(1, response), connect_response);
    EXPECT_EQ(decode_response(only_frame(connect_response).payload).value(), response);
}

TEST(GoldenBytesTest, NotFoundHasTheseBytes) {
    const Response response{.status = {Code::not_found, "task a: not found"}, .payload = {}};
    EXPECT_EQ(encode_response(3, response), not_found_response);
    EXPECT_EQ(decode_response(only_frame(not_found_response).payload).value(), response);
}

TEST(GoldenBytesTest, BootstrapResultHasTheseBytes) {
    ::containerd::runtime::bootstrap::v1::BootstrapResult result;
    result.set_version(3);
    result.set_address("unix:///run/containerd/s/x");
    result.set_protocol("ttrpc");
    EXPECT_EQ(result.SerializeAsString(), bootstrap_result);
}

TEST(GoldenBytesTest, BootstrapParamsAreRead) {
    ::containerd::runtime::bootstrap::v1::BootstrapParams params;
    ASSERT_TRUE(params.ParseFromString(bootstrap_params));
    EXPECT_EQ(params.instance_id(), "a");
    EXPECT_EQ(params.namespace_(), "ns");
    EXPECT_EQ(params.log_level(), ::containerd::runtime::bootstrap::v1::LOG_LEVEL_DEBUG);
    EXPECT_EQ(params.containerd_version(), "2.3.4");
    ASSERT_EQ(params.extensions_size(), 1);
    EXPECT_EQ(params.extensions(0).value().type_url(), "");
    EXPECT_FALSE(params.has_socket_dir());
    EXPECT_EQ(params.SerializeAsString(), bootstrap_params);
}

TEST(GoldenBytesTest, LegacyOptionsAreReadAndLookLikeBootstrapParams) {
    google::protobuf::Any any;
    ASSERT_TRUE(any.ParseFromString(legacy_options));
    EXPECT_EQ(any.type_url(), "runtimeoptions.v1.Options");
    ::runtimeoptions::v1::Options options;
    ASSERT_TRUE(options.ParseFromString(any.value()));
    EXPECT_EQ(options.config_path(), "/etc/x.toml");
    EXPECT_EQ(options.GetTypeName(), any.type_url());

    ::containerd::runtime::bootstrap::v1::BootstrapParams params;
    ASSERT_TRUE(params.ParseFromString(legacy_options));
    EXPECT_EQ(params.instance_id(), "runtimeoptions.v1.Options");
}

TEST(GoldenBytesTest, LegacyOptionsWithBinaryValueAreReadSilently) {
    google::protobuf::Any any;
    any.set_type_url("containerd.runc.v1.Options");
    any.set_value("\xff\xfe");
    ::containerd::runtime::bootstrap::v1::BootstrapParams params;
    ::testing::internal::CaptureStderr();
    EXPECT_TRUE(params.ParseFromString(any.SerializeAsString()));
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
    EXPECT_EQ(params.instance_id(), "containerd.runc.v1.Options");
}

} // namespace

} // namespace cppvm::ttrpc
