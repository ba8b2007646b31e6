#include "host/storage/volume_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <sys/stat.h>

namespace cppvm::storage {
namespace {

using ::testing::IsEmpty;

VolumeSpec volume(bool read_only) {
    return {.source = "/v", .read_only = read_only};
}

SourceInfo directory(std::uint64_t inode, bool read_only = false) {
    SourceInfo info;
    info.key.inode = inode;
    info.mode = S_IFDIR;
    info.read_only = read_only;
    return info;
}

VolumePlan add_one(VolumeTable& table, const char* id, bool read_only, const SourceInfo& info) {
    const std::array volumes{volume(read_only)};
    const std::array sources{info};
    return table.add(id, volumes, sources).second.at(0);
}

TEST(VolumeTable, ShowsOneSourceOnceHoweverManyHaveIt) {
    VolumeTable table;
    const std::array volumes{volume(false), volume(false), volume(false)};
    const std::array sources{directory(1), directory(2), directory(1)};
    const auto [rootfs, plans] = table.add("a", volumes, sources);
    EXPECT_EQ(plans[0].number, plans[2].number);
    EXPECT_NE(plans[0].number, plans[1].number);
    EXPECT_NE(plans[0].number, rootfs);
    EXPECT_TRUE(plans[0].attach);
    EXPECT_FALSE(plans[2].attach);

    const VolumePlan other = add_one(table, "b", false, directory(1));
    EXPECT_EQ(other.number, plans[0].number);
    EXPECT_FALSE(other.attach);

    const auto first = table.remove("a");
    ASSERT_TRUE(first);
    ASSERT_EQ(first->detach.size(), 1u);
    EXPECT_EQ(first->detach[0].number, plans[1].number);
    const auto second = table.remove("b");
    ASSERT_EQ(second->detach.size(), 1u);
    EXPECT_EQ(second->detach[0].number, plans[0].number);
    EXPECT_FALSE(table.remove("b"));
}

TEST(VolumeTable, NeverUsesANumberTwice) {
    VolumeTable table;
    const VolumePlan first = add_one(table, "a", false, directory(1));
    table.remove("a");
    const VolumePlan second = add_one(table, "a", false, directory(1));
    EXPECT_GT(second.number, first.number);
    EXPECT_TRUE(second.attach);
}

TEST(VolumeTable, IsReadOnlyWhileNobodyWantsToWrite) {
    VolumeTable table;
    const VolumePlan reader = add_one(table, "reader", true, directory(1));
    EXPECT_TRUE(reader.read_only);
    const VolumePlan writer = add_one(table, "writer", false, directory(1));
    EXPECT_FALSE(writer.attach);
    EXPECT_TRUE(writer.change_read_only);
    EXPECT_FALSE(writer.read_only);
    EXPECT_FALSE(add_one(table, "other", false, directory(1)).change_read_only);

    EXPECT_THAT(table.remove("other")->make_read_only, IsEmpty());
    const auto removal = table.remove("writer");
    EXPECT_THAT(removal->detach, IsEmpty());
    ASSERT_EQ(removal->make_read_only.size(), 1u);
    EXPECT_EQ(removal->make_read_only[0].number, reader.number);
}

TEST(VolumeTable, KeepsTheHostsOwnReadOnlyMountsSo) {
    VolumeTable table;
    const VolumePlan plan = add_one(table, "a", false, directory(1, true));
    EXPECT_TRUE(plan.read_only);
    const VolumePlan second = add_one(table, "b", false, directory(1, true));
    EXPECT_FALSE(second.change_read_only);
}

TEST(VolumeTable, TellsFilesFromDirectories) {
    VolumeTable table;
    SourceInfo file = directory(1);
    file.mode = S_IFREG;
    EXPECT_TRUE(add_one(table, "a", false, file).is_file);
    EXPECT_TRUE(table.contains("a"));
    EXPECT_FALSE(table.contains("b"));
}

TEST(VolumeTable, ShowsASourceOnceForEachMapping) {
    VolumeTable table;
    VolumeSpec mapped = volume(false);
    mapped.id_map = {{{0, 1000, 1}}, {{0, 1000, 1}}};
    VolumeSpec below = mapped;
    below.recursive_id_map = true;
    const std::array volumes{volume(false), mapped, below, mapped};
    const std::array sources{directory(1), directory(1), directory(1), directory(1)};
    const auto plans = table.add("a", volumes, sources).second;
    EXPECT_NE(plans[0].number, plans[1].number);
    EXPECT_NE(plans[1].number, plans[2].number);
    EXPECT_EQ(plans[1].number, plans[3].number);
    EXPECT_EQ(table.remove("a")->detach.size(), 3u);
}

} // namespace
} // namespace cppvm::storage
