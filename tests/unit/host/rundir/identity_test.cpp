#include "common/base/error.hpp"
#include "host/rundir/identity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string error_of(std::string_view value) {
    try {
        check_identifier("namespace", value);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument);
        return error.message();
    }
    return {};
}

TEST(IdentityTest, NamesTheSocketAsContainerdsToolsExpect) {
    const Identity identity("/run/containerd/containerd.sock", "k8s.io", "pod1");
    EXPECT_EQ(identity.hash(), "8e264b1ad347c80aee5f3dea6e4bb53d72026989222058782273d5db043c7723");
    EXPECT_EQ(identity.socket_path("/run/containerd/s"), "/run/containerd/s/" + identity.hash());
}

TEST(IdentityTest, DerivesShortNames) {
    const Identity identity("/run/containerd/containerd.sock", "k8s.io", "pod1");
    EXPECT_EQ(identity.short_id(), "8e264b1ad347c80a");
    EXPECT_EQ(identity.run_dir("/run/cppvm"), "/run/cppvm/8e264b1ad347c80a");
    EXPECT_EQ(identity.domain_name(), "cppvm-8e264b1ad347c80a");
    // Octets 0 to 15 of the hash, with version 8 and variant 10 put in.
    EXPECT_EQ(identity.uuid(), "8e264b1a-d347-880a-ae5f-3dea6e4bb53d");
}

TEST(IdentityTest, MarksUuidsAsCustom) {
    for (int i = 0; i < 64; ++i) {
        const std::string uuid = Identity("/a", "n", "id" + std::to_string(i)).uuid();
        ASSERT_EQ(uuid.size(), 36U);
        EXPECT_EQ(uuid[14], '8');
        EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos) << uuid;
    }
}

TEST(IdentityTest, DependsOnEachPart) {
    const Identity identity("/a", "n", "i");
    EXPECT_NE(identity.hash(), Identity("/b", "n", "i").hash());
    EXPECT_NE(identity.hash(), Identity("/a", "m", "i").hash());
    EXPECT_NE(identity.hash(), Identity("/a", "n", "j").hash());
    EXPECT_EQ(identity, Identity("/a", "n", "i"));
}

TEST(IdentityTest, TakesWhatContainerdTakes) {
    for (const char* good : {"a", "k8s.io", "moby", "A-b_c.d", "0", "a1-2"}) {
        EXPECT_EQ(error_of(good), "") << good;
    }
    EXPECT_EQ(error_of(std::string(76, 'x')), "");
}

TEST(IdentityTest, RefusesWhatContainerdRefuses) {
    for (const char* bad :
         {"-a", "a-", "a--b", "a..b", "a._b", ".", "..", "a/b", "/", "a b", "ä", "a\n", "_a"}) {
        EXPECT_THAT(error_of(bad), HasSubstr("must be letters and digits")) << bad;
    }
    EXPECT_EQ(error_of(""), "namespace: must not be empty");
    EXPECT_EQ(error_of(std::string_view("a\0b", 3)).find("namespace \"a?b\": must"), 0U);
}

TEST(IdentityTest, NamesValueAndRuleInErrors) {
    EXPECT_EQ(
        error_of("a/b"),
        "namespace \"a/b\": must be letters and digits, joined by single '.', '_' or '-'"
    );
    const std::string message = error_of(std::string(200, 'x'));
    EXPECT_THAT(message, HasSubstr("has 200 characters, at most 76 are allowed"));
    EXPECT_THAT(error_of("a\nb\x1b"), Not(HasSubstr("\n")));
}

TEST(IdentityTest, RefusesABadAddress) {
    EXPECT_THROW(Identity("", "n", "i"), Error);
    EXPECT_THROW(Identity(std::string("/a\0b", 4), "n", "i"), Error);
    EXPECT_THROW(Identity(std::string(5000, '/'), "n", "i"), Error);
    EXPECT_THROW(Identity("/a", "", "i"), Error);
    EXPECT_THROW(Identity("/a", "n", "a/b"), Error);
}

} // namespace
} // namespace cppvm
