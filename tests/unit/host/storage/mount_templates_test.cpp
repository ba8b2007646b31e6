#include "common/base/error.hpp"
#include "host/storage/mount_templates.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<std::string> places = {"/0", "/1", "/2"};

std::string expanded(const std::string& option) {
    return expand({"format/overlay", "overlay", "", {option}}, places).mount.options.at(0);
}

std::string failure(const MountSpec& mount) {
    try {
        expand(mount, places);
    } catch (const Error& error) {
        return error.message();
    }
    return "none";
}

std::string failure_of(const std::string& option) {
    return failure({"format/mkdir/overlay", "overlay", "", {option}});
}

TEST(MountTemplatesTest, KnowsATemplateByItsType) {
    EXPECT_TRUE(is_template({"format/mkdir/overlay", "overlay", "", {}}));
    EXPECT_TRUE(is_template({"mkdir/bind", "/a", "", {}}));
    EXPECT_FALSE(is_template({"overlay", "overlay", "", {"lowerdir={{ mount 0 }}"}}));
}

TEST(MountTemplatesTest, NamesThePlacesOfEarlierMounts) {
    EXPECT_EQ(expanded("lowerdir={{ mount 1 }}"), "lowerdir=/1");
    EXPECT_EQ(expanded("lowerdir={{overlay 0 2}},x"), "lowerdir=/0:/1:/2,x");
    EXPECT_EQ(expanded("lowerdir={{ overlay 2 1 }}"), "lowerdir=/2:/1");
    EXPECT_EQ(expanded("{{ mount 0 }}{{ mount 2 }}"), "/0/2");
    const ExpandedMount bind = expand({"format/bind", "{{ mount 2 }}/a", "", {"ro"}}, places);
    EXPECT_EQ(bind.mount.type, "bind");
    EXPECT_EQ(bind.mount.source, "/2/a");
}

TEST(MountTemplatesTest, TakesDirectoriesOutOfTheOptions) {
    const ExpandedMount made = expand(
        {"format/mkdir/overlay",
         "overlay",
         "",
         {"X-containerd.mkdir.path={{ mount 0 }}/upper:0755",
          "X-containerd.mkdir.path=/work",
          "workdir=/work"}},
        places
    );
    EXPECT_EQ(made.mount.type, "overlay");
    EXPECT_THAT(made.mount.options, ElementsAre("workdir=/work"));
    ASSERT_EQ(made.directories.size(), 2U);
    EXPECT_EQ(made.directories[0].path, "/0/upper");
    EXPECT_EQ(made.directories[0].mode, 0755U);
    EXPECT_EQ(made.directories[1].mode, 0700U);
}

TEST(MountTemplatesTest, RefusesWhatMeansNothing) {
    EXPECT_THAT(failure_of("{{ mount 3 }}"), HasSubstr("no earlier mount"));
    EXPECT_THAT(failure_of("{{ mount -1 }}"), HasSubstr("no earlier mount"));
    EXPECT_THAT(failure_of("{{ overlay 0 3 }}"), HasSubstr("no earlier mount"));
    EXPECT_THAT(failure_of("{{ source 0 }}"), HasSubstr("have a meaning"));
    EXPECT_THAT(failure_of("{{ mount 0"), HasSubstr("'}}' is missing"));
    EXPECT_THAT(failure_of("X-containerd.mkdir.path=/a:0755:1:1"), HasSubstr("octal"));
    EXPECT_THAT(failure({"mkfs/ext4", "/a", "", {}}), HasSubstr("only the steps"));
}

} // namespace
} // namespace cppvm::storage
