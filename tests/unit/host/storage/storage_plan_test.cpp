#include "common/base/error.hpp"
#include "host/storage/storage_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace cppvm::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using oci::DeviceRule;

oci::Spec spec_with(std::vector<oci::Mount> mounts) {
    oci::Spec spec;
    spec.root.path = "rootfs";
    spec.mounts = std::move(mounts);
    return spec;
}

std::optional<HostDevice> no_device(const std::filesystem::path& /*path*/) {
    return std::nullopt;
}

/// A host on which each path is that device.
DeviceAt always(mode_t mode, dev_t number) {
    return [=](const auto&) { return HostDevice{number, mode, 1, 2}; };
}

StoragePlan plan(
    const oci::Spec& spec,
    const DeviceAt& device_at = no_device,
    const SocketsAt& sockets_at = no_sockets,
    const VfioNameAt& vfio_name_at = no_vfio
) {
    return plan_storage(spec, {}, "/bundle", device_at, sockets_at, vfio_name_at);
}

StoragePlan plan_root(const MountSpec& rootfs, const DeviceAt& device_at = no_device) {
    return plan_storage(spec_with({}), {rootfs}, "/bundle", device_at, no_sockets, no_vfio);
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
    StoragePlan made = plan(spec);
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
    StoragePlan made = plan(spec);
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

TEST(StoragePlanTest, KnowsWhereMountsBelowAVolumeHaveOtherFlags) {
    const StoragePlan made = plan(spec_with(
        {{"/0", "bind", "/a", {"rbind", "ro"}},
         {"/1", "bind", "/a", {"rbind", "rprivate", "noexec", "rro"}},
         {"/2", "bind", "/a", {"rbind", "rw"}},
         {"/3", "bind", "/a", {"bind", "ro"}},
         {"/4", "bind", "/a", {"rbind", "ro", "rro"}},
         {"/5", "bind", "/a", {"rbind", "ro", "rrw"}},
         {"/6", "bind", "/a", {"rbind", "ro", "rslave"}},
         {"/7", "bind", "/a", {"rbind", "ro", "rshared"}}}
    ));
    std::string differing;
    for (const VolumeSpec& volume : made.volumes) {
        differing += volume.differs_below ? volume.destination : "";
    }
    EXPECT_EQ(differing, "/0/1");
}

TEST(StoragePlanTest, NamesMountsBelowVolumesAsTheGuestFindsThem) {
    oci::Spec spec = spec_with({{"/a", "bind", "/a", {"rbind", "ro"}}});
    StoragePlan made = plan(spec);
    set_sources(spec, made, {.rootfs = "1", .volumes = {"2"}, .submounts = {"2/b", "2/b/c"}});
    const std::string top = "/run/cppvm/share/volumes/2/";
    EXPECT_THAT(made.submounts, ElementsAre(top + "b", top + "b/c"));
}

TEST(StoragePlanTest, ReportsThatMountsOfTheGuestDoNotShowOnTheHost) {
    const StoragePlan made = plan(spec_with({{"/a", "bind", "/x", {"rbind", "rshared"}}}));
    EXPECT_TRUE(made.volumes.at(0).propagate);
    EXPECT_THAT(made.unsupported, ElementsAre("mounts[0].options[shared]"));
}

TEST(StoragePlanTest, NamesDevicesOfTheHostByNumber) {
    const oci::Spec spec = spec_with({{"/etc/passwd", "bind", "/dev/null", {"rbind", "ro"}}});
    const StoragePlan made = plan(spec, [](const std::filesystem::path& path) {
        return path == "/dev/null" ? std::optional(HostDevice{makedev(1, 3), S_IFCHR, 0, 0})
                                   : std::nullopt;
    });
    EXPECT_THAT(made.volumes, IsEmpty());
    EXPECT_THAT(made.mounts, ElementsAre(oci::Mount{"/etc/passwd", "cppvm-device", "1:3", {"ro"}}));
}

TEST(StoragePlanTest, RefusesDevicesThatAreTheHostsAlone) {
    const oci::Spec spec = spec_with({{"/dev/x", "bind", "/dev/x", {}}});
    // Numbers for local use, and those that misc devices are handed out at run time.
    for (const dev_t number : {makedev(240, 0), makedev(10, 60), makedev(10, 256)}) {
        const Status failure = failure_of(spec, always(S_IFCHR, number));
        EXPECT_EQ(failure.code, Code::failed_precondition);
        EXPECT_EQ(failure.message.find("mounts[0].source: the device /dev/x ("), 0U);
    }
    for (const dev_t number : {makedev(1, 5), makedev(10, 200), makedev(226, 128)}) {
        EXPECT_EQ(failure_of(spec, always(S_IFCHR, number)).code, Code::ok);
    }
}

TEST(StoragePlanTest, PutsOfferedSocketsInThePlaceOfTheirMounts) {
    const oci::Spec spec = spec_with(
        {{"/run/docker.sock", "bind", "/host/docker.sock", {"rbind", "ro"}},
         {"/plugins", "bind", "/host/plugins", {"rbind"}},
         {"/data", "bind", "/host/data", {"rbind"}}}
    );
    StoragePlan made = plan(spec, no_device, [](const std::filesystem::path& path) {
        std::vector<HostSocket> sockets;
        if (path == "/host/docker.sock") {
            sockets.push_back({path, "", 0, 5, 0660});
        } else if (path == "/host/plugins") {
            sockets.push_back({path / "csi.sock", "csi.sock", 1, 2, 0600});
        }
        return sockets;
    });
    EXPECT_THAT(made.volumes, SizeIs(2));
    EXPECT_THAT(made.volume_mounts, ElementsAre(1, 3));
    EXPECT_THAT(made.sockets, SizeIs(2));
    EXPECT_EQ(made.sockets[1].path, "/host/plugins/csi.sock");
    set_socket_source(made, 0, 7);
    set_socket_source(made, 1, 8);
    EXPECT_THAT(
        made.mounts,
        ElementsAre(
            oci::Mount{"/run/docker.sock", "bind", "/run/cppvm/share/sockets/7", {"rbind", "ro"}},
            oci::Mount{"/plugins", "bind", "", {"rbind"}},
            oci::Mount{"/plugins/csi.sock", "cppvm-socket", "/run/cppvm/share/sockets/8", {"bind"}},
            oci::Mount{"/data", "bind", "", {"rbind"}}
        )
    );
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
        failure({"/a", "bind", "/dev/null", {"idmap"}}, always(S_IFCHR | 0666, makedev(1, 3))),
        "mounts[0]: cannot be id-mapped: a device has no owners to map"
    );
}

oci::Device device(std::string path, std::string type, int major, int minor) {
    return {std::move(path), std::move(type), major, minor, {}, 0, 0};
}

oci::Spec spec_with_devices(std::vector<oci::Device> devices, std::vector<DeviceRule> rules) {
    oci::Spec spec = spec_with({});
    spec.linux_part.devices = std::move(devices);
    spec.linux_part.resources.devices = std::move(rules);
    return spec;
}

TEST(StoragePlanTest, MakesDisksOfBlockDevicesThatRulesName) {
    const StoragePlan made = plan(spec_with_devices(
        {device("/dev/a", "b", 7, 1), device("/dev/c", "c", 1, 3), device("/dev/ro", "b", 8, 0)},
        {{false, "a", {}, {}, "rwm"}, {true, "b", 7, 1, "rwm"}, {true, "b", 8, 0, "rm"}}
    ));
    EXPECT_THAT(made.devices, SizeIs(3));
    EXPECT_THAT(
        made.disks,
        ElementsAre(
            DiskSpec{.device = makedev(7, 1)}, DiskSpec{.device = makedev(8, 0), .read_only = true}
        )
    );
    EXPECT_THAT(made.unsupported, IsEmpty());
}

TEST(StoragePlanTest, MakesOneDiskOfADeviceWithTwoNames) {
    const StoragePlan made = plan(spec_with_devices(
        {device("/dev/a", "b", 7, 1), device("/dev/b", "b", 7, 1)}, {{true, "b", 7, 1, "rw"}}
    ));
    EXPECT_THAT(made.devices, SizeIs(2));
    EXPECT_THAT(made.disks, SizeIs(1));
}

// A privileged container's spec lists all that the host has.
TEST(StoragePlanTest, GivesNoBlockDeviceAwayThatNoRuleNames) {
    const StoragePlan made = plan(spec_with_devices(
        {device("/dev/null", "c", 1, 3),
         device("/dev/sda", "b", 8, 0),
         device("/dev/sdb", "b", 8, 16)},
        {{true, "a", {}, {}, "rwm"}, {true, "b", 8, {}, "rw"}, {true, "b", 8, 16, "m"}}
    ));
    EXPECT_THAT(made.disks, IsEmpty());
    EXPECT_THAT(made.unsupported, ElementsAre("linux.devices[1]", "linux.devices[2]"));
    EXPECT_THAT(made.devices, SizeIs(1));
    const StoragePlan denied = plan(spec_with_devices(
        {device("/dev/sda", "b", 8, 0)}, {{true, "b", 8, 0, "rw"}, {false, "a", {}, {}, "rwm"}}
    ));
    EXPECT_THAT(denied.disks, IsEmpty());
    EXPECT_THAT(denied.unsupported, ElementsAre("linux.devices[0]"));
}

// What a device plugin or CDI asks for has a rule of its number.
TEST(StoragePlanTest, RefusesCharacterDevicesThatAreThisHostsAlone) {
    const auto failure = [](const std::string& path, int major, int minor) {
        return failure_of(spec_with_devices(
            {device("/dev/null", "c", 1, 3), device(path, "c", major, minor)},
            {{true, "c", major, minor, "rw"}}
        ));
    };
    EXPECT_EQ(failure("/dev/vfio/17", 243, 0).code, Code::failed_precondition);
    EXPECT_EQ(
        failure("/dev/vfio/17", 243, 0).message,
        "linux.devices[1]: the character device /dev/vfio/17 (243:0) stands for no IOMMU group of "
        "this host; bind the hardware to vfio-pci, which makes its node"
    );
    EXPECT_EQ(
        failure("/dev/rtc0", 252, 0).message,
        "linux.devices[1]: the character device /dev/rtc0 (252:0) belongs to this host alone; the "
        "guest has none like it"
    );
    EXPECT_EQ(failure("/dev/fuse", 10, 229).message, "");
    // A privileged container's spec lists all that the host has.
    const oci::Spec privileged =
        spec_with_devices({device("/dev/vfio/17", "c", 243, 0)}, {{true, "a", {}, {}, "rwm"}});
    EXPECT_THAT(plan(privileged).devices, SizeIs(1));
}

/// A host whose group 17 is 243:0, and that has other nodes of VFIO's.
std::optional<std::string> vfio_names(dev_t number) {
    if (number == makedev(243, 0)) {
        return "17";
    }
    return number == makedev(243, 1) ? std::optional<std::string>("noiommu-0") : std::nullopt;
}

TEST(StoragePlanTest, GivesIommuGroupsThatRulesNameToTheMachine) {
    const std::vector<DeviceRule> rules = {
        {false, "a", {}, {}, "rwm"},
        {true, "c", 243, 0, "rwm"},
        {true, "c", 10, 196, "rwm"},
        {true, "c", 243, 7, "rw"}
    };
    const StoragePlan made = plan(
        spec_with_devices(
            {device("/dev/vfio/vfio", "c", 10, 196),
             device("/dev/vfio/17", "c", 243, 0),
             device("/dev/again", "u", 243, 0),
             device("/dev/null", "c", 1, 3)},
            rules
        ),
        no_device,
        no_sockets,
        vfio_names
    );
    EXPECT_THAT(made.vfio_groups, ElementsAre(VfioGroup{17, makedev(243, 0)}));
    ASSERT_THAT(made.devices, SizeIs(1));
    EXPECT_EQ(made.devices[0].path, "/dev/null");
    std::vector<DeviceRule> left = rules;
    drop_vfio_rules(left, made);
    ASSERT_THAT(left, SizeIs(3));
    EXPECT_EQ(left[1].major, 10);
    EXPECT_EQ(left[2].minor, 7);
}

TEST(StoragePlanTest, GivesNoIommuGroupAwayThatNoRuleNames) {
    const oci::Spec spec = spec_with_devices(
        {device("/dev/vfio/17", "c", 243, 0), device("/dev/vfio/vfio", "c", 10, 196)},
        {{true, "a", {}, {}, "rwm"}, {true, "c", 243, {}, "rwm"}}
    );
    const StoragePlan made = plan(spec, no_device, no_sockets, vfio_names);
    EXPECT_THAT(made.vfio_groups, IsEmpty());
    EXPECT_THAT(made.devices, SizeIs(2));
}

TEST(StoragePlanTest, RefusesWhatIsNoWholeIommuGroup) {
    const auto failure = [](int minor, const std::string& access) -> std::string {
        try {
            plan(
                spec_with_devices(
                    {device("/dev/x", "c", 243, minor)}, {{true, "c", 243, minor, access}}
                ),
                no_device,
                no_sockets,
                vfio_names
            );
        } catch (const Error& error) {
            return error.message();
        }
        return "";
    };
    EXPECT_EQ(
        failure(1, "rw"),
        "linux.devices[0]: /dev/vfio/noiommu-0 is not that of an IOMMU group, and nothing else of "
        "VFIO can be given to a machine"
    );
    EXPECT_EQ(
        failure(0, "r"),
        "linux.devices[0]: /dev/vfio/17 can only be given away to be read and written"
    );
}

TEST(StoragePlanTest, MakesADeviceOfABlockDeviceThatIsBound) {
    oci::Spec spec = spec_with(
        {{"/data", "bind", "/host", {}}, {"/x", "bind", "/dev/sda", {"ro"}}, {"/y", "tmpfs", "", {}}
        }
    );
    spec.linux_part.resources.devices = {{true, "b", 8, 0, "r"}};
    const StoragePlan made = plan(spec, [](const std::filesystem::path& path) {
        return path == "/dev/sda" ? std::optional(HostDevice{makedev(8, 0), S_IFBLK | 0640, 1, 2})
                                  : std::nullopt;
    });
    EXPECT_THAT(made.devices, ElementsAre(oci::Device{"/x", "b", 8, 0, 0640, 1, 2}));
    EXPECT_THAT(made.disks, ElementsAre(DiskSpec{.device = makedev(8, 0), .read_only = true}));
    EXPECT_THAT(made.volume_mounts, ElementsAre(0U));
    ASSERT_THAT(made.mounts, SizeIs(2));
    EXPECT_EQ(made.mounts[1].destination, "/y");
    // Its volumes still find their mounts.
    spec.mounts = {spec.mounts[1], spec.mounts[0]};
    StoragePlan turned = plan(spec, [](const std::filesystem::path& path) {
        return path == "/dev/sda" ? std::optional(HostDevice{makedev(8, 0), S_IFBLK, 0, 0})
                                  : std::nullopt;
    });
    set_sources(spec, turned, {.rootfs = "1", .volumes = {"2"}});
    ASSERT_THAT(spec.mounts, SizeIs(1));
    EXPECT_EQ(spec.mounts[0].source, "/run/cppvm/share/volumes/2");
}

TEST(StoragePlanTest, BindsABlockDeviceThatMayNotBeOpenedAsAName) {
    const StoragePlan made =
        plan(spec_with({{"/x", "bind", "/dev/sda", {}}}), always(S_IFBLK, makedev(8, 0)));
    EXPECT_THAT(made.disks, IsEmpty());
    EXPECT_THAT(made.volumes, SizeIs(1));
}

TEST(StoragePlanTest, LeavesAnOrdinaryRootToTheShare) {
    const MountSpec overlay{"overlay", "overlay", "", {"lowerdir=/a:/b"}};
    const StoragePlan made = plan_root(overlay, always(S_IFBLK, makedev(8, 0)));
    EXPECT_FALSE(made.root_disk);
    ASSERT_THAT(made.rootfs_mounts, SizeIs(1));
    EXPECT_EQ(made.rootfs_mounts[0].type, "overlay");
}

// As the blockfile snapshotter has it, and the device mapper's.
TEST(StoragePlanTest, MakesADiskOfARootOnAnImageOrABlockDevice) {
    const StoragePlan image =
        plan_root({"ext4", "/snapshots/7", "", {"loop", "x-a", "discard", "rw"}});
    ASSERT_TRUE(image.root_disk);
    EXPECT_EQ(image.root_disk->disk, (DiskSpec{.image = "/snapshots/7", .exclusive = true}));
    EXPECT_EQ(image.root_disk->type, "ext4");
    EXPECT_THAT(image.root_disk->options, ElementsAre("discard", "rw"));
    ASSERT_THAT(image.rootfs_mounts, SizeIs(1));
    EXPECT_EQ(image.rootfs_mounts[0].type, "tmpfs");

    const StoragePlan device =
        plan_root({"ext4", "/dev/mapper/snap-7", "", {"ro"}}, always(S_IFBLK, makedev(253, 7)));
    ASSERT_TRUE(device.root_disk);
    EXPECT_EQ(
        device.root_disk->disk,
        (DiskSpec{.device = makedev(253, 7), .read_only = true, .exclusive = true})
    );
}

TEST(StoragePlanTest, MountsOnTheHostWhatNotEveryGuestKnows) {
    for (const char* type : {"xfs", "btrfs", "erofs"}) {
        const StoragePlan made =
            plan_root({type, "/dev/mapper/x", "", {}}, always(S_IFBLK, makedev(253, 7)));
        EXPECT_FALSE(made.root_disk) << type;
        EXPECT_EQ(made.rootfs_mounts.at(0).type, type);
    }
    EXPECT_FALSE(plan_root({"ext4", "/a/file", "", {}}).root_disk) << "not a device, and no loop";
    EXPECT_FALSE(plan_root({"ext4", "/a/file", "sub", {"loop"}}).root_disk);
}

/// Of the snapshotter erofs with a default_size, as containerd leaves it to a runtime that
/// announces the steps.
std::vector<MountSpec> layered(std::size_t layers) {
    std::vector<MountSpec> mounts = {{"ext4", "/7/rwlayer.img", "", {"rw", "loop"}}};
    for (std::size_t i = layers; i > 0; --i) {
        mounts.push_back({"erofs", "/" + std::to_string(i) + "/layer.erofs", "", {"ro", "loop"}});
    }
    const std::string lower =
        layers == 1 ? "{{ mount 1 }}" : "{{ overlay 1 " + std::to_string(layers) + " }}";
    mounts.push_back(
        {"format/mkdir/overlay",
         "overlay",
         "",
         {"X-containerd.mkdir.path={{ mount 0 }}/upper:0755",
          "X-containerd.mkdir.path={{ mount 0 }}/work:0755",
          "workdir={{ mount 0 }}/work",
          "upperdir={{ mount 0 }}/upper",
          "lowerdir=" + lower}}
    );
    return mounts;
}

StoragePlan plan_layered(std::vector<MountSpec> mounts, std::vector<oci::Mount> volumes = {}) {
    return plan_storage(
        spec_with(std::move(volumes)), std::move(mounts), "/bundle", no_device, no_sockets, no_vfio
    );
}

TEST(StoragePlanTest, PutsTheLayersOfARootOnTheShareAndWhatIsWrittenOnADisk) {
    StoragePlan made = plan_layered(layered(2), {{"/data", "bind", "/srv", {}}});
    ASSERT_TRUE(made.root_disk);
    EXPECT_EQ(made.root_disk->disk, (DiskSpec{.image = "/7/rwlayer.img", .exclusive = true}));
    EXPECT_EQ(made.root_disk->type, "ext4");
    EXPECT_EQ(made.rootfs_mounts.at(0).type, "tmpfs");
    ASSERT_THAT(made.volumes, SizeIs(3));
    ASSERT_THAT(made.volume_mounts, SizeIs(1));
    EXPECT_EQ(made.volumes[1].source, "/2/layer.erofs");
    EXPECT_EQ(made.volumes[2].source, "/1/layer.erofs");
    EXPECT_TRUE(made.volumes[1].read_only);
    oci::Spec spec;
    set_sources(spec, made, {.rootfs = "1", .volumes = {"2", "3/file", "4/file"}});
    EXPECT_THAT(
        made.root_disk->layers,
        ElementsAre("/run/cppvm/share/volumes/3/file", "/run/cppvm/share/volumes/4/file")
    );
    EXPECT_EQ(spec.mounts.at(0).source, "/run/cppvm/share/volumes/2");
}

TEST(StoragePlanTest, LetsTheGuestOverlayAsManyLayersAsItCanName) {
    EXPECT_TRUE(plan_layered(layered(1)).root_disk);
    EXPECT_THAT(plan_layered(layered(200)).volumes, SizeIs(200));
    const StoragePlan more = plan_layered(layered(201));
    EXPECT_FALSE(more.root_disk);
    EXPECT_THAT(more.rootfs_mounts, SizeIs(203)) << "for the host";
    EXPECT_THAT(more.volumes, IsEmpty());
}

TEST(StoragePlanTest, LeavesLayersToTheHostOfWhichTheGuestCouldMissAWord) {
    const auto with = [](std::size_t index, const char* option) {
        auto mounts = layered(2);
        mounts.at(index).options.emplace_back(option);
        return plan_layered(std::move(mounts)).root_disk.has_value();
    };
    EXPECT_FALSE(with(0, "noload"));
    EXPECT_FALSE(with(1, "device=/3/layer.erofs"));
    EXPECT_FALSE(with(3, "uidmap=0:1000:10"));
    auto on_the_host = layered(2);
    on_the_host.erase(on_the_host.begin());
    on_the_host.back().options = {
        "workdir=/7/work", "upperdir=/7/fs", "lowerdir={{ overlay 0 1 }}"
    };
    EXPECT_FALSE(plan_layered(on_the_host).root_disk);
}

TEST(StoragePlanTest, RefusesLayersThatAreToBeVerified) {
    auto mounts = layered(2);
    mounts.at(1).options.emplace_back("X-containerd.dmverity=/2/layer.erofs.dmverity");
    try {
        plan_layered(mounts);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::unimplemented);
        EXPECT_TRUE(error.message().starts_with("rootfs[1].options: the layer /2/layer.erofs"))
            << error.message();
    }
}

} // namespace
} // namespace cppvm::storage
