#include "common/ttrpc/protoc_plugin/names.hpp"

#include <gtest/gtest.h>

namespace cppvm::protoc_plugin {

namespace {

TEST(NamesTest, MethodsBecomeSnakeCase) {
    EXPECT_EQ(method_name("Create"), "create");
    EXPECT_EQ(method_name("CreateContainer"), "create_container");
    EXPECT_EQ(method_name("CloseIO"), "close_io");
    EXPECT_EQ(method_name("IOClose"), "io_close");
    EXPECT_EQ(method_name("ResizePty"), "resize_pty");
    EXPECT_EQ(method_name("ListPIDs"), "list_pids");
    EXPECT_EQ(method_name("Get2Things"), "get2_things");
    EXPECT_EQ(method_name("already_snake"), "already_snake");
    EXPECT_EQ(method_name("Odd_Mix"), "odd_mix");
}

TEST(NamesTest, KeywordsAndInheritedNamesGetAnUnderscore) {
    EXPECT_EQ(method_name("Delete"), "delete_");
    EXPECT_EQ(method_name("Register"), "register_");
    EXPECT_EQ(method_name("Name"), "name_");
    EXPECT_EQ(method_name("Dispatch"), "dispatch_");
    EXPECT_EQ(method_name("DeleteProcess"), "delete_process");
}

TEST(NamesTest, PackagesBecomeNamespaces) {
    EXPECT_EQ(cpp_namespace("cppvm.agent.v2"), "cppvm::agent::v2");
    EXPECT_EQ(qualified("a.b"), "::a::b");
}

} // namespace

} // namespace cppvm::protoc_plugin
