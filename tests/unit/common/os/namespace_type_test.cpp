#include "common/os/namespace_type.hpp"

#include <gtest/gtest.h>

#include <sched.h>

namespace cppvm {
namespace {

TEST(NamespaceTypeTest, TellsTheKindOfANamespace) {
    EXPECT_EQ(namespace_type_at("/proc/self/ns/net"), CLONE_NEWNET);
    EXPECT_EQ(namespace_type_at("/proc/self/ns/uts"), CLONE_NEWUTS);
    EXPECT_EQ(namespace_type_at("/dev/null"), 0);
}

} // namespace
} // namespace cppvm
