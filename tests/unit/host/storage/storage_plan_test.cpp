#include "common/base/error.hpp"
#include "host/storage/storage_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/sysmacros.h>

namespace cppvm::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

oci::Spec spec_with(std::vector<oci::Mount> mounts) {
    oci::Spec spec;
    spec.root.path = "rootfs";
    spec.mounts = std::move(mounts);
    return spec;
}

std::optional<dev_t> no_device(const std::filesystem::path& /*path*/) {
    return std::nullopt;
}

StoragePlan plan(const oci::Spec& spec, const DeviceAt& device_at = no_device) {
    return plan_storage(spec, "/bundle", device_at);
}

Status failure_of(const oci::Spec& spec, const DeviceAt& device_at = no_device) {
    try {
        plan(spec, device_at);
    } catch (const Error& error) {
        return {error.code(), error.message()};
    }
    return {};
}

TEST(StoragePlanTest, PointsTheRootBelowTheShare) {
    oci::Spec spec = spec_with({});
    const StoragePlan made = plan(spec);
    EXPECT_EQ(made.rootfs_source, "/bundle/rootfs");
    set_sources(spec, made, {.rootfs = "7", .volumes = {}});
    EXPECT_EQ(spec.root.path, "/run/cppvm/share/roots/7");
    spec.root.path = "/elsewhere";
    EXPECT_EQ(plan(spec).rootfs_source, "/elsewhere");
}

TEST(StoragePlanTest, MakesVolumesOfBindMounts) {
    oci::Spec spec = spec_with(
        {{"/proc", "proc", "/secret", {}},
         {"/a", "bind", "/host/a", {"rbind", "ro", "rslave"}},
         {"/b", "", "relative/b", {"bind"}},
         {"/c", "bind", "/host/c", {}},
         {"/d", "none", "/host/d", {"rbind", "rro"}}}
    );
    const StoragePlan made = plan(spec);
    ASSERT_THAT(made.volumes, SizeIs(4));
    EXPECT_EQ(made.volumes[0].source, "/host/a");
    EXPECT_EQ(made.volumes[0].destination, "/a");
    EXPECT_TRUE(made.volumes[0].recursive);
    EXPECT_TRUE(made.volumes[0].read_only);
    EXPECT_FALSE(made.volumes[0].recursive_read_only);
    EXPECT_TRUE(made.volumes[0].propagate);
    EXPECT_EQ(made.volumes[1].source, "/bundle/relative/b");
    EXPECT_FALSE(made.volumes[1].recursive);
    EXPECT_FALSE(made.volumes[1].read_only);
    EXPECT_FALSE(made.volumes[1].propagate);
    EXPECT_EQ(made.volumes[2].source, "/host/c");
    EXPECT_TRUE(made.volumes[3].read_only);
    EXPECT_TRUE(made.volumes[3].recursive_read_only);

    set_sources(spec, made, {.rootfs = "1", .volumes = {"2", "3/file", "2", "4"}});
    EXPECT_EQ(spec.mounts[0].source, "proc");
    EXPECT_EQ(spec.mounts[1].source, "/run/cppvm/share/volumes/2");
    EXPECT_THAT(spec.mounts[1].options, ElementsAre("rbind", "ro", "rslave"));
    EXPECT_EQ(spec.mounts[2].source, "/run/cppvm/share/volumes/3/file");
    EXPECT_EQ(spec.mounts[3].source, "/run/cppvm/share/volumes/2");
    EXPECT_EQ(spec.mounts[4].source, "/run/cppvm/share/volumes/4");
}

TEST(StoragePlanTest, TakesTheLastOfOptionsThatContradict) {
    const StoragePlan made = plan(spec_with(
        {{"/a", "bind", "/a", {"rbind", "ro", "rw"}},
         {"/b", "bind", "/b", {"rbind", "rw", "ro"}},
         {"/c", "bind", "/c", {"rbind", "ro", "rrw"}},
         {"/d", "bind", "/d", {"rbind", "rshared", "rprivate"}}}
    ));
    EXPECT_FALSE(made.volumes.at(0).read_only);
    EXPECT_TRUE(made.volumes.at(1).read_only);
    EXPECT_FALSE(made.volumes.at(2).read_only);
    EXPECT_FALSE(made.volumes.at(3).propagate);
}

TEST(StoragePlanTest, ReportsThatMountsOfTheGuestDoNotShowOnTheHost) {
    const StoragePlan made = plan(spec_with({{"/a", "bind", "/x", {"rbind", "rshared"}}}));
    EXPECT_TRUE(made.volumes.at(0).propagate);
    EXPECT_THAT(made.unsupported, ElementsAre("mounts[0].options[shared]"));
}

TEST(StoragePlanTest, NamesDevicesOfTheHostByNumber) {
    const oci::Spec spec = spec_with({{"/etc/passwd", "bind", "/dev/null", {"rbind", "ro"}}});
    const StoragePlan made = plan(spec, [](const std::filesystem::path& path) {
        return path == "/dev/null" ? std::optional(makedev(1, 3)) : std::nullopt;
    });
    EXPECT_THAT(made.volumes, IsEmpty());
    EXPECT_THAT(made.mounts, ElementsAre(oci::Mount{"/etc/passwd", "cppvm-device", "1:3", {"ro"}}));
}

TEST(StoragePlanTest, RefusesDevicesThatAreTheHostsAlone) {
    const oci::Spec spec = spec_with({{"/dev/x", "bind", "/dev/x", {}}});
    // Numbers for local use, and those that misc devices are handed out at run time.
    for (const dev_t number : {makedev(240, 0), makedev(10, 60), makedev(10, 256)}) {
        const Status failure = failure_of(spec, [&](const auto&) { return std::optional(number); });
        EXPECT_EQ(failure.code, Code::failed_precondition);
        EXPECT_EQ(failure.message.find("mounts[0].source: the device /dev/x ("), 0U);
    }
    for (const dev_t number : {makedev(1, 5), makedev(10, 200), makedev(226, 128)}) {
        EXPECT_EQ(
            failure_of(spec, [&](const auto&) { return std::optional(number); }).code, Code::ok
        );
    }
}

TEST(StoragePlanTest, RefusesFileSystemsThatTheGuestHasNot) {
    const Status failure = failure_of(spec_with({{"/a", "nfs", "h:/", {}}}));
    EXPECT_EQ(failure.code, Code::unimplemented);
    EXPECT_EQ(failure.message.find("mounts[0].type: file systems of type 'nfs'"), 0U);
}

TEST(StoragePlanTest, RefusesABindMountOfNothing) {
    EXPECT_EQ(
        failure_of(spec_with({{"/a", "bind", "", {}}})).message,
        "mounts[0].source: must not be empty"
    );
}

TEST(StoragePlanTest, BoundsTheNumberOfVolumes) {
    oci::Spec spec = spec_with(std::vector<oci::Mount>(1024, {"/a", "bind", "/x", {}}));
    EXPECT_THAT(plan(spec).volumes, SizeIs(1024));
    spec.mounts.push_back(spec.mounts.front());
    EXPECT_EQ(failure_of(spec).message, "mounts[1024]: more than 1024 bind mounts");
}

class IdMapPlanTest : public ::testing::Test {
  protected:
    static oci::Spec spec(oci::Mount mount, bool user_namespace) {
        oci::Spec made = spec_with({std::move(mount)});
        if (user_namespace) {
            made.linux_part.uid_mappings = containers.uids;
            made.linux_part.gid_mappings = containers.gids;
        }
        return made;
    }

    static VolumeSpec volume_of(oci::Mount mount, bool user_namespace) {
        return plan(spec(std::move(mount), user_namespace)).volumes.at(0);
    }

    inline static const oci::IdMap own{{{0, 1000, 1}}, {{0, 2000, 1}}};
    inline static const oci::IdMap containers{{{0, 3000, 1}}, {{0, 4000, 1}}};
};

TEST_F(IdMapPlanTest, TakesMappingsOfTheMountFirst) {
    const oci::Mount mount{"/a", "bind", "/s", {"rbind"}, own.uids, own.gids};
    for (const bool user_namespace : {false, true}) {
        EXPECT_EQ(volume_of(mount, user_namespace).id_map, own);
        EXPECT_FALSE(volume_of(mount, user_namespace).recursive_id_map);
    }
}

TEST_F(IdMapPlanTest, TakesTheContainersWhereTheOptionsSay) {
    EXPECT_EQ(volume_of({"/a", "bind", "/s", {"idmap"}}, true).id_map, containers);
    EXPECT_FALSE(volume_of({"/a", "bind", "/s", {"idmap"}}, true).recursive_id_map);
    EXPECT_TRUE(volume_of({"/a", "bind", "/s", {"ridmap"}}, true).recursive_id_map);
    EXPECT_TRUE(volume_of({"/a", "bind", "/s", {}}, true).id_map.is_empty());
}

TEST_F(IdMapPlanTest, LeavesNothingOfItToTheGuest) {
    const StoragePlan made =
        plan(spec({"/a", "bind", "/s", {"ridmap", "ro"}, own.uids, own.gids}, false));
    EXPECT_EQ(made.mounts.at(0), (oci::Mount{"/a", "bind", "", {"ro"}}));
}

TEST_F(IdMapPlanTest, RefusesWhatCannotBeMapped) {
    const auto failure = [](oci::Mount mount, const DeviceAt& device_at = no_device) {
        return failure_of(spec(std::move(mount), false), device_at).message;
    };
    EXPECT_EQ(
        failure({"/a", "bind", "/s", {}, own.uids, {}}),
        "mounts[0].gidMappings: is missing: owners and groups are mapped together"
    );
    EXPECT_EQ(
        failure({"/a", "bind", "/s", {}, {}, own.gids}),
        "mounts[0].uidMappings: is missing: owners and groups are mapped together"
    );
    EXPECT_THAT(
        failure({"/a", "bind", "/s", {"idmap"}}),
        ::testing::StartsWith("mounts[0].options: ask for an id-mapped mount, but neither")
    );
    EXPECT_EQ(
        failure({"/a", "tmpfs", "", {}, own.uids, own.gids}),
        "mounts[0]: cannot be id-mapped: only bind mounts can"
    );
    EXPECT_EQ(
        failure({"/a", "bind", "/dev/null", {"idmap"}}, [](const auto&) { return makedev(1, 3); }),
        "mounts[0]: cannot be id-mapped: a device has no owners to map"
    );
}

} // namespace
} // namespace cppvm::storage
