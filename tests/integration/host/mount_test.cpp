#include "host/storage/mount.hpp"
#include "tests/integration/host/mount_fixture.hpp"

namespace cppvm::storage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

void mount(const std::vector<MountSpec>& mounts, const std::string& target) {
    mount_all(mounts, target);
}

TEST_F(MountTest, MakesAnOverlayOfLayers) {
    dir.write("lower1/a", "1");
    dir.write("lower2/b", "2");
    const std::string upper = make_dir("upper");
    const std::string work = make_dir("work");
    const std::string target = make_dir("rootfs");
    mount(
        {{"overlay",
          "overlay",
          "",
          {"index=off",
           "workdir=" + work,
           "upperdir=" + upper,
           "lowerdir=" + (dir / "lower1").native() + ":" + (dir / "lower2").native()}}},
        target
    );
    EXPECT_EQ(content(dir / "rootfs/a") + content(dir / "rootfs/b"), "12");
    EXPECT_EQ(try_write(dir / "rootfs/c"), 0);
    EXPECT_TRUE(std::filesystem::exists(dir / "upper/c"));
    unmount_all(target);
    unmount_all(target);
    EXPECT_TRUE(std::filesystem::is_empty(target));
}

TEST_F(MountTest, MakesAnOverlayOfMoreLayersThanAnOptionStringHolds) {
    std::string lower = "lowerdir=";
    const std::string base = make_dir(std::string(60, 'd'));
    for (int i = 0; i < 100; ++i) {
        const std::string layer = base + "/" + std::to_string(i);
        dir.write(
            std::string(60, 'd') + "/" + std::to_string(i) + "/" + std::to_string(i), "layer"
        );
        lower += (i == 0 ? "" : ":") + layer;
    }
    ASSERT_GT(lower.size(), 4096u);
    const std::string target = make_dir("rootfs");
    mount({{"overlay", "overlay", "", {lower}}}, target);
    EXPECT_EQ(content(target + "/0") + content(target + "/99"), "layerlayer");
}

TEST_F(MountTest, TakesMountsInOrderAndTargetsBelowTheRoot) {
    dir.write("data/file", "text");
    const std::string target = make_dir("rootfs");
    mount({{"tmpfs", "tmpfs", "", {"size=1m"}}}, target);
    make_dir("rootfs/mnt");
    mount({{"bind", dir / "data", "/mnt", {"ro"}}}, target);
    EXPECT_EQ(content(target + "/mnt/file"), "text");
    EXPECT_EQ(try_write(target + "/mnt/new"), EROFS);
    EXPECT_EQ(try_write(target + "/new"), 0);
    EXPECT_EQ(mounts_at(target), 2u);
    unmount_all(target);
    EXPECT_EQ(mounts_at(target), 0u);
}

TEST_F(MountTest, DoesNotFollowTheImagesLinksOutOfIt) {
    const std::string outside = make_dir("outside");
    const std::string target = make_dir("rootfs");
    mount({{"tmpfs", "tmpfs", "", {}}}, target);
    std::filesystem::create_symlink(outside, target + "/absolute");
    std::filesystem::create_symlink("../outside", target + "/relative");
    for (const std::string where : {"absolute", "relative", "../outside"}) {
        const std::string error = error_of([&] {
            mount_all(std::vector<MountSpec>{{"tmpfs", "tmpfs", where, {}}}, target);
        });
        EXPECT_THAT(error, AllOf(HasSubstr("mount target " + where), HasSubstr("No such file")));
        EXPECT_EQ(mounts_at(outside), 0u);
        mount({{"tmpfs", "tmpfs", "", {}}}, target);
        std::filesystem::create_symlink(outside, target + "/absolute");
        std::filesystem::create_symlink("../outside", target + "/relative");
    }
}

TEST_F(MountTest, BindsArePrivateAndLeaveTheHostAlone) {
    mount_tmpfs(dir / "source");
    ASSERT_EQ(::mount(nullptr, (dir / "source").c_str(), nullptr, MS_SHARED, nullptr), 0);
    mount_tmpfs(dir / "source/below");
    dir.write("source/below/file", "text");
    const std::string target = make_dir("rootfs");
    mount({{"bind", dir / "source", "", {"rbind", "rw"}}}, target);
    EXPECT_EQ(content(target + "/below/file"), "text");
    make_dir("source/later");
    mount_tmpfs(dir / "source/later");
    dir.write("source/later/file", "text");
    EXPECT_FALSE(std::filesystem::exists(target + "/later/file"));
    unmount_all(target);
    EXPECT_EQ(content(dir / "source/below/file"), "text");
    EXPECT_EQ(mounts_at(dir / "source"), 3u);
}

TEST_F(MountTest, BindsWithoutWhatIsBelowUnlessAsked) {
    mount_tmpfs(dir / "source/below");
    dir.write("source/below/file", "text");
    const std::string target = make_dir("rootfs");
    mount({{"bind", dir / "source", "", {"bind", "nosuid", "noatime"}}}, target);
    EXPECT_FALSE(std::filesystem::exists(target + "/below/file"));
    const auto mounts = mounts_below(read_mountinfo(), target);
    ASSERT_EQ(mounts.size(), 1u);
    EXPECT_THAT(mounts[0].options, AllOf(HasSubstr("nosuid"), HasSubstr("noatime")));
}

TEST_F(MountTest, SetsThePropagationThatIsAsked) {
    const std::string target = make_dir("rootfs");
    mount({{"tmpfs", "tmpfs", "", {"private"}}}, target);
    make_dir("rootfs/mnt");
    mount({{"tmpfs", "tmpfs", "mnt", {"shared"}}}, target);
    const auto mounts = mounts_below(read_mountinfo(), target);
    ASSERT_EQ(mounts.size(), 2u);
    EXPECT_FALSE(mounts[0].tags.empty());
    EXPECT_TRUE(mounts[1].tags.empty());
}

TEST_F(MountTest, NamesWhatTheKernelRefuses) {
    const std::string target = make_dir("rootfs");
    const std::string missing = dir / "missing";
    const auto refusal = [&](MountSpec spec) {
        return error_of([&] { mount_all(std::vector<MountSpec>{spec}, target); });
    };
    EXPECT_THAT(
        refusal({"nofs", "none", "", {}}),
        AllOf(HasSubstr("mount at " + target), HasSubstr("no file system of type 'nofs'"))
    );
    EXPECT_THAT(refusal({"format/mkfs/ext4", "/x", "", {}}), HasSubstr("mount format/mkfs/ext4"));
    EXPECT_THAT(
        refusal({"tmpfs", "tmpfs", "", {"size=1m", "colour=red"}}),
        AllOf(
            HasSubstr("mount tmpfs"),
            HasSubstr("colour=red"),
            HasSubstr("Unknown parameter 'colour'"),
            HasSubstr("Invalid argument")
        )
    );
    EXPECT_THAT(
        refusal({"overlay", "overlay", "", {"lowerdir=" + missing}}),
        AllOf(HasSubstr("mount overlay"), HasSubstr(missing), HasSubstr("No such file"))
    );
    EXPECT_THAT(
        refusal({"bind", missing, "", {"rbind"}}),
        AllOf(HasSubstr("bind " + missing), HasSubstr("No such file"))
    );
    EXPECT_THAT(
        refusal({"bind", dir.path(), "", {"rbind", "colour=red"}}),
        HasSubstr("unknown mount option 'colour=red'")
    );
    EXPECT_THAT(
        refusal({"ext4", missing, "", {"loop"}}),
        AllOf(HasSubstr(missing), HasSubstr("No such file"))
    );
    EXPECT_THAT(refusal({"tmpfs", "tmpfs", "nowhere", {}}), HasSubstr("mount target nowhere"));
    EXPECT_EQ(mounts_at(target), 0u);
}

TEST_F(MountTest, LeavesNothingAfterAFailureAtAnyStep) {
    dir.write("data/mnt/x", "");
    const std::string target = make_dir("rootfs");
    const std::vector<MountSpec> good = {
        {"bind", dir / "data", "", {"rbind"}},
        {"tmpfs", "tmpfs", "mnt", {}},
        {"tmpfs", "tmpfs", "", {}},
    };
    for (std::size_t step = 0; step < good.size(); ++step) {
        std::vector<MountSpec> mounts = good;
        mounts[step].type = "nofs";
        mounts[step].options = {};
        EXPECT_THROW(mount_all(mounts, target), Error) << step;
        EXPECT_EQ(mounts_at(target), 0u) << step;
    }
    mount(good, target);
    EXPECT_EQ(mounts_at(target), 3u);
}

// As containerd's snapshotter erofs says it, with tmpfs in the place of erofs.
TEST_F(MountTest, PutsMountsThatNameEachOtherTogetherAndLeavesNothingElse) {
    dir.write("lower/a", "1");
    const std::string target = make_dir("rootfs");
    std::vector<MountSpec> mounts = {
        {"tmpfs", "tmpfs", "", {}},
        {"bind", dir / "lower", "", {"ro"}},
        {"bind", make_dir("empty"), "", {"ro"}},
        {"format/mkdir/overlay",
         "overlay",
         "",
         {"X-containerd.mkdir.path={{ mount 0 }}/upper:0755",
          "X-containerd.mkdir.path={{ mount 0 }}/work:0755",
          "upperdir={{ mount 0 }}/upper",
          "workdir={{ mount 0 }}/work",
          "lowerdir={{ overlay 1 2 }}"}}
    };
    mount(mounts, target);
    EXPECT_EQ(content(target + "/a"), "1");
    EXPECT_EQ(try_write(target + "/b"), 0);
    EXPECT_EQ(mounts_at(target), 1u);
    unmount_all(target);
    for (std::size_t step = 0; step < mounts.size(); ++step) {
        std::vector<MountSpec> bad = mounts;
        bad[step].source = dir / "gone";
        bad[step].type = step == 3 ? "format/nofs" : "bind";
        EXPECT_THROW(mount_all(bad, target), Error) << step;
        EXPECT_EQ(mounts_at(target), 0u) << step;
    }
}

TEST_F(MountTest, MountsAFileThroughALoopDeviceThatGoesWithIt) {
    if (::access("/dev/loop-control", R_OK) != 0 || ::access("/sbin/mke2fs", X_OK) != 0) {
        GTEST_SKIP() << "needs /dev/loop-control and mke2fs";
    }
    const std::string image = dir / "image";
    ASSERT_EQ(std::system(("/sbin/mke2fs -q -t ext4 " + image + " 4m >/dev/null 2>&1").c_str()), 0);
    const std::string target = make_dir("rootfs");
    mount({{"ext4", image, "", {"loop", "ro"}}}, target);
    EXPECT_TRUE(std::filesystem::exists(target + "/lost+found"));
    EXPECT_EQ(try_write(target + "/x"), EROFS);
    const std::string device = mounts_below(read_mountinfo(), target).front().source;
    const std::string backing =
        "/sys/block/" + std::filesystem::path(device).filename().native() + "/loop/backing_file";
    EXPECT_TRUE(std::filesystem::exists(backing));
    unmount_all(target);
    for (int i = 0; i < 1000 && std::filesystem::exists(backing); ++i) {
        ::usleep(10'000); // the kernel finishes a detached file system in the background
    }
    EXPECT_FALSE(std::filesystem::exists(backing));
}

TEST_F(MountTest, UnmountsWhatIsNestedStackedHiddenAndOddlyNamed) {
    const std::string top = make_dir("top");
    for (const char* path : {"a", "a/b", "a/b", "odd name\\and\ttab", "odd name\\and\ttab/x"}) {
        mount_tmpfs(dir / "top" / path);
    }
    make_dir("top/hidden/x");
    mount_tmpfs(dir / "top/hidden/x");
    mount_tmpfs(dir / "top/hidden"); // covers hidden/x
    mount_tmpfs(dir / "topmost");    // a name that only begins alike
    EXPECT_EQ(mounts_at(top), 7u);
    std::filesystem::create_symlink(dir.path(), dir / "link");
    unmount_all(dir / "link/top");
    EXPECT_EQ(mounts_at(top), 0u);
    EXPECT_EQ(mounts_at(dir / "topmost"), 1u);
    unmount_all(dir / "does/not/exist");
}

TEST_F(MountTest, UnmountsWhatIsInUse) {
    mount_tmpfs(dir / "top");
    const auto file = dir.write("top/file", "text");
    const UniqueFd fd = open_file(file, O_RDONLY);
    unmount_all(dir / "top");
    EXPECT_EQ(mounts_at(dir / "top"), 0u);
    EXPECT_EQ(read_all(fd.get(), "file", 10), "text");
}

class IdMappedMountTest : public MountTest {
  protected:
    void SetUp() override {
        MountTest::SetUp();
        if (!IsSkipped() && !can_map_tmpfs()) {
            GTEST_SKIP() << "needs a kernel that can id-map tmpfs (Linux 6.3)";
        }
    }

    static uid_t owner(const std::filesystem::path& path) {
        struct stat status{};
        EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
        return status.st_uid;
    }

    const std::string uids = "uidmap=0:100000:5,5:200000:10";
    const std::string gids = "gidmap=0:100000:65536";
};

TEST_F(IdMappedMountTest, MapsTheLayersOfAnOverlay) {
    dir.write("lower1/a", "1");
    dir.write("lower2/b", "2");
    EXPECT_EQ(::chown((dir / "lower2/b").c_str(), 6, 6), 0);
    const std::string upper = make_dir("upper");
    EXPECT_EQ(::chown(upper.c_str(), 100000, 100000), 0);
    const std::string target = make_dir("rootfs");
    const std::size_t before = read_mountinfo().size();
    mount(
        {{"overlay",
          "overlay",
          "",
          {"workdir=" + make_dir("work"),
           "upperdir=" + upper,
           "lowerdir=" + (dir / "lower1").native() + ":" + (dir / "lower2").native(),
           uids,
           gids}}},
        target
    );
    EXPECT_EQ(owner(target), 100000U);
    EXPECT_EQ(owner(target + "/a"), 100000U);
    EXPECT_EQ(owner(target + "/b"), 200001U);
    EXPECT_EQ(::chown((target + "/b").c_str(), 100000, 100000), 0);
    EXPECT_EQ(owner(dir / "upper/b"), 100000U);
    EXPECT_EQ(owner(dir / "lower2/b"), 6U);
    EXPECT_EQ(read_mountinfo().size(), before + 1);
    unmount_all(target);
    EXPECT_TRUE(std::filesystem::is_empty(target));
}

TEST_F(IdMappedMountTest, MapsBindsAndOtherFileSystems) {
    dir.write("data/file", "text");
    const std::string target = make_dir("rootfs");
    mount(
        {{"tmpfs", "tmpfs", "", {"mode=0755", uids, gids}},
         {"bind", dir / "data", "", {"ro", "rbind", uids, gids}}},
        target
    );
    EXPECT_EQ(owner(target + "/file"), 100000U);
    EXPECT_EQ(try_write(target + "/new"), EROFS);
    EXPECT_EQ(owner(dir / "data/file"), 0U);
    EXPECT_EQ(mounts_at(target), 2U);
}

TEST_F(IdMappedMountTest, LeavesNothingWhereALayerCannotBeMapped) {
    dir.write("lower1/a", "1");
    const std::string target = make_dir("rootfs");
    const std::string text = error_of([&] {
        mount(
            {{"overlay",
              "overlay",
              "",
              {"lowerdir=" + (dir / "lower1").native() + ":/proc/sys", uids, gids}}},
            target
        );
    });
    EXPECT_THAT(text, HasSubstr("id-map /proc/sys: the host's kernel cannot do that"));
    EXPECT_EQ(mounts_at(target), 0U);
    EXPECT_TRUE(std::filesystem::is_empty(target));
}

} // namespace
} // namespace cppvm::storage
