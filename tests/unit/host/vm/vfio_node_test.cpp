#include "common/base/error.hpp"
#include "host/vm/vfio_node.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::vm {
namespace {

constexpr uid_t user = 70'001;
constexpr gid_t group = 70'002;

class VfioNodeTest : public ::testing::Test {
  protected:
    VfioNodeTest() {
        if (::geteuid() != 0) {
            throw std::runtime_error("needs root");
        }
    }

    struct stat status() const {
        struct stat result{};
        EXPECT_EQ(::stat(node_.c_str(), &result), 0);
        return result;
    }

    testing::TempDir directory_;
    std::filesystem::path node_ = directory_.write("17", "");
};

TEST_F(VfioNodeTest, LendsTheNodeForAWhile) {
    ASSERT_EQ(::chown(node_.c_str(), 0, 36), 0); // as udev may have been told
    {
        const VfioNode lent(node_, user, group);
        EXPECT_EQ(status().st_uid, user);
        EXPECT_EQ(status().st_gid, group);
    }
    EXPECT_EQ(status().st_uid, 0U);
    EXPECT_EQ(status().st_gid, 36U);
}

TEST_F(VfioNodeTest, NamesANodeThatIsNot) {
    try {
        const VfioNode lent(directory_ / "18", user, group);
        ADD_FAILURE() << "lent";
    } catch (const Error& error) {
        EXPECT_TRUE(error.message().ends_with("/18: No such file or directory")) << error.message();
    }
}

TEST_F(VfioNodeTest, ComesBackFromAKilledOwner) {
    ASSERT_EQ(::chown(node_.c_str(), user, group), 0);
    take_back_vfio_nodes(user + 1, directory_.path());
    EXPECT_EQ(status().st_uid, user) << "it is another's";
    take_back_vfio_nodes(user, directory_.path());
    EXPECT_EQ(status().st_uid, 0U);
    EXPECT_NO_THROW(take_back_vfio_nodes(user, directory_ / "none"));
}

} // namespace
} // namespace cppvm::vm
