#include "host/cgroup/hierarchy.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>

namespace cppvm::cgroup {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> controllers(const std::vector<Hierarchy>& hierarchies) {
    std::vector<std::string> names;
    names.reserve(hierarchies.size());
    for (const auto& hierarchy : hierarchies) {
        names.push_back(hierarchy.controller);
    }
    return names;
}

TEST(HierarchyTest, IsOneWithVersion2) {
    const testing::TempDir root;
    root.write("cgroup.controllers", "cpu io memory pids\n");
    root.write("memory/cgroup.procs", ""); // of that name, but only a cgroup in it
    const auto found = find_hierarchies(root.path());
    ASSERT_THAT(controllers(found), ElementsAre(""));
    EXPECT_EQ(found[0].root, root.path());
}

TEST(HierarchyTest, IsOneForEachControllerThatAccountsWithVersion1) {
    const testing::TempDir root;
    for (const char* name : {"memory", "pids", "cpuset", "unified"}) {
        root.write(std::string(name) + "/cgroup.procs", "");
    }
    const auto found = find_hierarchies(root.path());
    EXPECT_THAT(controllers(found), ElementsAre("memory", "pids"));
    EXPECT_EQ(found[1].root, root / "pids");
    EXPECT_TRUE(find_hierarchies(root / "nowhere").empty());
}

TEST(HierarchyTest, FindsWhereAProcessIs) {
    const std::vector<Hierarchy> version1 = {
        {"/cg/memory", "memory"}, {"/cg/cpu", "cpu"}, {"/cg/pids", "pids"}
    };
    EXPECT_THAT(
        parse_membership("8:pids:/\n4:memory:/a:b/c\n2:cpu,cpuacct:/d\n0::/e\n", version1),
        ElementsAre("/cg/memory/a:b/c", "/cg/cpu/d", "/cg/pids/")
    );
    EXPECT_THAT(
        parse_membership("4:memory:/a\n0::/system.slice/x.service\n", {{"/cg", ""}}),
        ElementsAre("/cg/system.slice/x.service")
    );
    EXPECT_THAT(parse_membership("", {{"/cg", ""}}), ElementsAre("/cg"));
}

} // namespace
} // namespace cppvm::cgroup
