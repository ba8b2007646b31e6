#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/vm/helper_users.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <set>

namespace cppvm::vm {
namespace {

TEST(HelperUsersTest, DrawsThreeOfTheRangeAndRecordsThem) {
    const testing::TempDir base;
    std::filesystem::create_directory(base / "a");
    const HelperUsers users = claim_users(base / "a", {5000, 100});
    EXPECT_GE(users.qemu, 5000U);
    EXPECT_LT(users.network, 5100U);
    EXPECT_EQ(users.vsock_device, users.qemu + 1);
    EXPECT_EQ(users.network, users.qemu + 2);
    EXPECT_EQ(read_file(base / "a/users", 32), std::to_string(users.qemu) + "\n");
}

TEST(HelperUsersTest, GivesNoUserTwiceUntilItIsFreeAgain) {
    const testing::TempDir base;
    std::set<uid_t> seen;
    for (int i = 0; i < 8; ++i) {
        const auto run_dir = base / std::to_string(i);
        std::filesystem::create_directory(run_dir);
        const HelperUsers users = claim_users(run_dir, {5000, 24});
        EXPECT_TRUE(seen.insert(users.qemu).second);
        EXPECT_TRUE(seen.insert(users.vsock_device).second);
        EXPECT_TRUE(seen.insert(users.network).second);
    }
    std::filesystem::create_directory(base / "late");
    EXPECT_THROW(claim_users(base / "late", {5000, 24}), Error);
    std::filesystem::remove_all(base / "3");
    EXPECT_EQ(seen.count(claim_users(base / "late", {5000, 24}).qemu), 1U);
}

TEST(HelperUsersTest, PassesOverWhatIsNoRunDirectory) {
    const testing::TempDir base;
    base.write("file", "x");
    base.write("odd/users", "not a number");
    std::filesystem::create_directory(base / "a");
    EXPECT_EQ(claim_users(base / "a", {5000, 3}), (HelperUsers{5000, 5001, 5002}));
}

TEST(HelperUsersTest, QemuNeedsNoGroupWithoutKvm) {
    EXPECT_EQ(qemu_group("emulation", 5000), 5000U);
}

} // namespace
} // namespace cppvm::vm
