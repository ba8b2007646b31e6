#include "common/base/type_of_url.hpp"

#include <gtest/gtest.h>

namespace cppvm {
namespace {

TEST(TypeOfUrlTest, IsWhatComesAfterTheLastSlash) {
    EXPECT_EQ(type_of_url("google.protobuf.Empty"), "google.protobuf.Empty");
    EXPECT_EQ(type_of_url("type.googleapis.com/a.Message"), "a.Message");
    EXPECT_EQ(type_of_url("a/b/c"), "c");
    EXPECT_EQ(type_of_url("a/"), "");
    EXPECT_EQ(type_of_url(""), "");
}

} // namespace
} // namespace cppvm
