#include "common/base/error.hpp"
#include "host/vm/libvirt/libvirt_client.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>

namespace cppvm::vm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(HelperAnswerTest, GivesTheValueOfAKey) {
    const HelperAnswer answer = parse_helper_answer("cid 17\nfound yes\n", "x");
    EXPECT_EQ(answer.find("cid"), "17");
    EXPECT_EQ(answer.find("found"), "yes");
    EXPECT_EQ(answer.find("ci"), std::nullopt);
    EXPECT_TRUE(parse_helper_answer("", "x").values.empty());
}

TEST(HelperAnswerTest, ThrowsLibvirtsErrorWithItsNumber) {
    try {
        parse_helper_answer("error 38 7 Failed to connect socket\n", "create domain d");
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "create domain d: libvirt: Failed to connect socket");
        EXPECT_EQ(error.code(), Code::unavailable);
        EXPECT_EQ(error.cause().value(), 38);
        EXPECT_STREQ(error.cause().category().name(), "libvirt");
    }
}

TEST(HelperAnswerTest, ThrowsTheHelpersOwnErrorWithoutANumber) {
    try {
        parse_helper_answer("cid 3\nerror 0 0 chown: no such file", "create domain d");
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "create domain d: chown: no such file");
        EXPECT_FALSE(error.cause());
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
    const std::string script = "[ \"$*\" = 'test:///x create 5 6 /a /b' ] || exit 3\n"
                               "[ \"$(cat)\" = '<domain/>' ] || exit 4\n"
                               "echo warning less so\necho cid 12\necho warning no cgroup\n";
    auto body = [](LibvirtClient helper) -> Awaitable<> {
        const auto created =
            co_await helper.create({"d", "<domain/>", 5, 6, {"/a", "/b"}}, deadline_in(seconds(5)));
        EXPECT_EQ(created.cid, 12U);
        EXPECT_THAT(created.warnings, ::testing::ElementsAre("less so", "no cgroup"));
    };
    testing::co_test(body(client(script)));
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
    testing::co_test(
        expect_create_error(client("kill -9 $$"), Code::unavailable, "create domain d: ")
    );
    testing::co_test(expect_create_error(client("exit 7"), Code::unavailable, "exit code 7"));
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
    auto body = [](LibvirtClient yes, LibvirtClient no) -> Awaitable<> {
        EXPECT_FALSE(co_await no.destroy("u", deadline_in(seconds(5))));
        EXPECT_TRUE(co_await yes.destroy("u", deadline_in(seconds(5))));
    };
    // One file: the second script replaces the first only after it was run.
    testing::co_test([](LibvirtClientTest& test, auto check) -> Awaitable<> {
        const auto path = test.directory_.write("no", "#!/bin/sh\necho found no\n");
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
        co_await check(test.client("echo found yes"), LibvirtClient(path, "x"));
    }(*this, body));
}

TEST_F(LibvirtClientTest, ShowsLibvirtsVersion) {
    auto body = [](LibvirtClient helper) -> Awaitable<> {
        const auto host = co_await helper.ping(deadline_in(seconds(5)));
        EXPECT_EQ(host.version, "9.1.23");
        EXPECT_THAT(host.security_models, ::testing::ElementsAre("none", "dac"));
    };
    testing::co_test(body(client("echo version 9001023; echo secmodel none; echo secmodel dac")));
}

} // namespace
} // namespace cppvm::vm
