#include "common/base/error.hpp"
#include "guest-agent/setup/namespaces.hpp"

#include <gtest/gtest.h>

#include <sched.h>

namespace cppvm::guest {
namespace {

oci::Linux with(std::vector<oci::Namespace> namespaces) {
    oci::Linux spec;
    spec.namespaces = std::move(namespaces);
    return spec;
}

TEST(NamespaceFlagsTest, MapsTypes) {
    EXPECT_EQ(
        namespace_flags(with(
            {{"mount", ""}, {"pid", ""}, {"network", ""}, {"ipc", ""}, {"uts", ""}, {"cgroup", ""}}
        )),
        static_cast<std::uint64_t>(
            CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
            CLONE_NEWCGROUP
        )
    );
}

TEST(NamespaceFlagsTest, RefusesPathsDoublesAndMissingMount) {
    EXPECT_THROW(namespace_flags(with({})), Error);
    EXPECT_THROW(namespace_flags(with({{"mount", ""}, {"mount", ""}})), Error);
    EXPECT_THROW(namespace_flags(with({{"mount", "/proc/1/ns/mnt"}})), Error);
    EXPECT_THROW(namespace_flags(with({{"mount", ""}, {"space", ""}})), Error);
}

TEST(NamespaceFlagsTest, WantsMappingsForUserNamespacesAndTheOtherWayRound) {
    oci::Linux spec = with({{"mount", ""}, {"user", ""}});
    EXPECT_THROW(namespace_flags(spec), Error);
    spec.uid_mappings = {{0, 1000, 1}};
    EXPECT_THROW(namespace_flags(spec), Error);
    spec.gid_mappings = {{0, 1000, 1}};
    EXPECT_EQ(namespace_flags(spec), static_cast<std::uint64_t>(CLONE_NEWNS | CLONE_NEWUSER));
    spec.namespaces.pop_back();
    EXPECT_THROW(namespace_flags(spec), Error);
}

} // namespace
} // namespace cppvm::guest
