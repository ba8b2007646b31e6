#include "common/os/file.hpp"
#include "common/os/namespace_type.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sched.h>

namespace cppvm {
namespace {

TEST(NamespaceTypeTest, TellsTheKindOfANamespace) {
    EXPECT_EQ(namespace_type_at("/proc/self/ns/net"), CLONE_NEWNET);
    EXPECT_EQ(namespace_type_at("/proc/self/ns/uts"), CLONE_NEWUTS);
    EXPECT_EQ(namespace_type_at("/dev/null"), 0);
}

TEST(NamespaceTypeTest, KnowsANamespaceByAnyOfItsNames) {
    const UniqueFd network = open_file("/proc/self/ns/net", O_RDONLY);
    EXPECT_TRUE(is_namespace("/proc/thread-self/ns/net", network.get()));
    EXPECT_FALSE(is_namespace("/proc/self/ns/uts", network.get()));
    EXPECT_FALSE(is_namespace("/proc/self/ns/none", network.get()));
    EXPECT_FALSE(is_namespace("/proc/self/ns/net", -1));
}

} // namespace
} // namespace cppvm
