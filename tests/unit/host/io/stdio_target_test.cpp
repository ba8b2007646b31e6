#include "common/base/error.hpp"
#include "host/io/stdio_target.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::io {
namespace {

using ::testing::HasSubstr;

TEST(StdioTargetTest, ReadsWhatContainerdSends) {
    EXPECT_EQ(parse_stdio_target("stdout", ""), StdioTarget(NullTarget{}));
    EXPECT_EQ(
        parse_stdio_target("stdin", "/run/containerd/fifo/1/a-stdin"),
        StdioTarget(PathTarget{"/run/containerd/fifo/1/a-stdin"})
    );
    EXPECT_EQ(
        parse_stdio_target("stdout", "/odd%20name?x://y"),
        StdioTarget(PathTarget{"/odd%20name?x://y"})
    );
    EXPECT_EQ(
        parse_stdio_target("stdout", "file:///var/log/a%20b.log"),
        StdioTarget(LogFileTarget{"/var/log/a b.log"})
    );
    EXPECT_EQ(
        parse_stdio_target("stdout", "binary:///usr/bin/logger"),
        StdioTarget(LoggerTarget{{"/usr/bin/logger"}, false})
    );
    EXPECT_EQ(
        parse_stdio_target("stdout", "binary-v2:///l?id=a+b&flag&id=second&x=%2F&&y=#frag"),
        StdioTarget(LoggerTarget{{"/l", "id", "a b", "flag", "", "x", "/", "y", ""}, true})
    );
    EXPECT_EQ(
        parse_stdio_target("stdin", "ttrpc+unix:///run/c%20d.sock?x=y&streaming_id=a-1%2Bz"),
        StdioTarget(StreamTarget{"/run/c d.sock", "a-1+z"})
    );
}

struct Refusal {
    const char* uri;
    Code code;
    const char* text;
};

class StdioTargetRefusalTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(StdioTargetRefusalTest, NamesStreamAddressAndReason) {
    try {
        parse_stdio_target("stderr", GetParam().uri);
        FAIL() << GetParam().uri;
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), GetParam().code) << error.message();
        EXPECT_THAT(error.message(), HasSubstr("open stderr '"));
        EXPECT_THAT(error.message(), HasSubstr(GetParam().text));
    }
}

INSTANTIATE_TEST_SUITE_P(
    All,
    StdioTargetRefusalTest,
    ::testing::Values(
        Refusal{"relative/path", Code::invalid_argument, "not an absolute path"},
        Refusal{"http://x/y", Code::invalid_argument, "unknown scheme"},
        Refusal{"fifo:///x", Code::invalid_argument, "unknown scheme"},
        Refusal{"://x", Code::invalid_argument, "unknown scheme"},
        Refusal{"file://host/x", Code::invalid_argument, "must be absolute"},
        Refusal{"binary://", Code::invalid_argument, "must be absolute"},
        Refusal{"file:///a%2", Code::invalid_argument, "percent"},
        Refusal{"file:///a%zz", Code::invalid_argument, "percent"},
        Refusal{"file:///a%00b", Code::invalid_argument, "percent"},
        Refusal{"binary:///l?a=%f", Code::invalid_argument, "percent"},
        Refusal{"ttrpc+unix:///run/c.sock", Code::invalid_argument, "no streaming_id"},
        Refusal{"ttrpc+unix:///c?streaming_id=", Code::invalid_argument, "no streaming_id"},
        Refusal{"ttrpc+unix://c?streaming_id=x", Code::invalid_argument, "must be absolute"},
        Refusal{"grpc+unix:///c?streaming_id=x", Code::unimplemented, "only ttrpc+unix://"},
        Refusal{"ttrpc+vsock://3:1024?streaming_id=x", Code::unimplemented, "only ttrpc+unix://"},
        Refusal{"new\nline", Code::invalid_argument, "'new?line'"}
    )
);

TEST(StdioTargetTest, RefusesAddressesBeyondTheLimit) {
    EXPECT_THROW(parse_stdio_target("stdout", "/" + std::string(max_stdio_uri, 'a')), Error);
    EXPECT_THROW(parse_stdio_target("stdout", std::string("/a\0b", 4)), Error);
}

} // namespace
} // namespace cppvm::io
