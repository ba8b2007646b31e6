#include "host/rundir/description.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

namespace cppvm {
namespace {

TEST(DescriptionTest, ReadsWhatWasWritten) {
    const testing::TempDir dir;
    const SandboxDescription written{
        .sandbox_id = "pod1",
        .containerd_namespace = "k8s.io",
        .address = "/run/containerd/containerd.sock",
        .bundle = "/run/containerd/bundle with \"quotes\"",
        .version = "0.1.0",
        .build_id = "0123abcd",
        .daemon = 4242,
        .started = std::chrono::system_clock::time_point(std::chrono::nanoseconds(1234567890123)),
    };
    write_description(dir.path(), written);
    EXPECT_EQ(read_description(dir.path()), written);
}

TEST(DescriptionTest, IsNothingWhereItIsMissingOrDamaged) {
    const testing::TempDir dir;
    EXPECT_FALSE(read_description(dir.path()));
    for (const char* text : {"", "{", "[]", "{\"id\": 1}", "{\"id\": \"a\"}"}) {
        dir.write("sandbox.json", text);
        EXPECT_FALSE(read_description(dir.path())) << text;
    }
}

} // namespace
} // namespace cppvm
