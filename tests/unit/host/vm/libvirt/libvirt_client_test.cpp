#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/vm/libvirt/libvirt_client.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>

namespace cppvm::vm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using helper::v1::Response;

TEST(HelperAnswerTest, ThrowsTheErrorThatItHolds) {
    Response response;
    response.mutable_error()->set_code(static_cast<int>(Code::unavailable));
    response.mutable_error()->set_message("libvirt: Failed to connect socket");
    response.set_cid(3);
    try {
        parse_helper_answer(response.SerializeAsString(), "create domain d");
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "create domain d: libvirt: Failed to connect socket");
        EXPECT_EQ(error.code(), Code::unavailable);
    }
}

TEST(HelperAnswerTest, TakesACodeThatIsNoneForUnknown) {
    for (const int code : {0, 17, -1}) {
        Response response;
        response.mutable_error()->set_code(code);
        try {
            parse_helper_answer(response.SerializeAsString(), "create domain d");
            FAIL() << "no error";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::unknown) << code;
        }
    }
}

TEST(HelperAnswerTest, ThrowsWhatIsNoAnswer) {
    try {
        parse_helper_answer("cid 17\n\xff", "create domain d");
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::internal);
        EXPECT_EQ(error.message(), "create domain d: the libvirt helper's answer is malformed");
    }
}

// Runs a shell script in the helper's place.
class LibvirtClientTest : public ::testing::Test {
  public:
    LibvirtClient client(const std::string& script) {
        const auto path = directory_.write("helper", "#!/bin/sh\n" + script);
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
        return {path, "test:///x"};
    }

    /// A helper that notes its arguments and its input, and answers.
    LibvirtClient answering(const Response& response) {
        const auto answer = directory_.write("answer", response.SerializeAsString());
        return client(
            "echo \"$@\" > " + (directory_ / "arguments").native() + "\ncat > " +
            (directory_ / "input").native() + "\ncat " + answer.native() + "\n"
        );
    }
    std::string arguments() const { return read_file(directory_ / "arguments", 65536); }
    std::string input() const { return read_file(directory_ / "input", 65536); }

    testing::TempDir directory_;
};

Awaitable<> expect_create_error(LibvirtClient client, Code code, std::string text) {
    try {
        co_await client.create({"d", "<domain/>", 5, 6, {}}, deadline_in(milliseconds(500)));
        ADD_FAILURE() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), code) << error.message();
        EXPECT_THAT(error.message(), HasSubstr(text));
    }
}

TEST_F(LibvirtClientTest, PassesUriXmlAndSocketsAndReadsTheCid) {
    Response response;
    response.set_cid(12);
    response.add_warnings("less so");
    response.add_warnings("no cgroup");
    auto body = [](LibvirtClient helper) -> Awaitable<> {
        const auto created =
            co_await helper.create({"d", "<domain/>", 5, 6, {"/a", "/b"}}, deadline_in(seconds(5)));
        EXPECT_EQ(created.cid, 12U);
        EXPECT_THAT(created.warnings, ElementsAre("less so", "no cgroup"));
    };
    testing::co_test(body(answering(response)));
    EXPECT_EQ(arguments(), "test:///x create\n");
    helper::v1::CreateDomain request;
    ASSERT_TRUE(request.ParseFromString(input()));
    EXPECT_EQ(request.xml(), "<domain/>");
    EXPECT_EQ(request.user(), 5U);
    EXPECT_EQ(request.group(), 6U);
    EXPECT_THAT(request.sockets(), ElementsAre("/a", "/b"));
}

TEST_F(LibvirtClientTest, PassesDevices) {
    auto body = [](LibvirtClient helper) -> Awaitable<> {
        co_await helper.attach("u", "<disk/>", deadline_in(seconds(5)));
    };
    testing::co_test(body(answering({})));
    EXPECT_EQ(arguments(), "test:///x attach u\n");
    helper::v1::Device device;
    ASSERT_TRUE(device.ParseFromString(input()));
    EXPECT_EQ(device.xml(), "<disk/>");
}

TEST_F(LibvirtClientTest, TakesInputThatTheHelperDoesNotRead) {
    auto body = [](LibvirtClient helper) -> Awaitable<> {
        const std::string large(1024UL * 1024, 'x');
        const auto created =
            co_await helper.create({"d", large, 5, 6, {}}, deadline_in(seconds(5)));
        EXPECT_EQ(created.cid, std::nullopt);
    };
    testing::co_test(body(client("exit 0")));
}

TEST_F(LibvirtClientTest, ReportsAHelperThatEndsWithoutAnAnswer) {
    testing::co_test(expect_create_error(client("kill -9 $$"), Code::internal, "create domain d: ")
    );
    testing::co_test(expect_create_error(client("exit 7"), Code::internal, "exit code 7"));
}

TEST_F(LibvirtClientTest, KillsAHelperThatDoesNotEnd) {
    testing::co_test(expect_create_error(
        client("exec sleep 1000"), Code::deadline_exceeded, "libvirt at test:///x: timed out"
    ));
}

TEST_F(LibvirtClientTest, RefusesAnEndlessAnswer) {
    testing::co_test(expect_create_error(client("exec cat /dev/zero"), Code::internal, "too long"));
}

TEST_F(LibvirtClientTest, NamesAMissingHelper) {
    testing::co_test(expect_create_error(
        LibvirtClient("/nowhere/cppvm-libvirt", "x"), Code::unknown, "/nowhere/cppvm-libvirt"
    ));
}

TEST_F(LibvirtClientTest, TellsWhetherTheDomainWasThere) {
    const auto found = [this](bool was_there) {
        Response response;
        response.set_found(was_there);
        bool result = !was_there;
        auto body = [](LibvirtClient helper, bool& answer) -> Awaitable<> {
            answer = co_await helper.destroy("u", deadline_in(seconds(5)));
        };
        testing::co_test(body(answering(response), result));
        return result;
    };
    EXPECT_TRUE(found(true));
    EXPECT_FALSE(found(false));
    EXPECT_EQ(arguments(), "test:///x destroy u\n");
}

TEST_F(LibvirtClientTest, ShowsLibvirtsVersion) {
    Response response;
    response.set_version(9001023);
    response.add_security_models("none");
    response.add_security_models("dac");
    auto body = [](LibvirtClient helper) -> Awaitable<> {
        const auto host = co_await helper.ping(deadline_in(seconds(5)));
        EXPECT_EQ(host.version, "9.1.23");
        EXPECT_THAT(host.security_models, ElementsAre("none", "dac"));
    };
    testing::co_test(body(answering(response)));
}

} // namespace
} // namespace cppvm::vm
