#include "common/base/error.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/vmimage/elf_file.hpp"
#include "vmimage/kernel_modules.hpp"

#include <gmock/gmock.h>

namespace cppvm::vmimage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ModuleDependenciesTest, ReadsThemFromModinfo) {
    const auto needing = [](const char* others) {
        return module_dependencies(testing::make_module_needing(others), "x");
    };
    EXPECT_THAT(needing("virtio_ring,virtio"), ElementsAre("virtio_ring", "virtio"));
    EXPECT_THAT(needing("virtio-rng"), ElementsAre("virtio_rng"));
    EXPECT_THAT(needing(""), IsEmpty());
}

TEST(ModuleDependenciesTest, RefusesWhatIsNoModule) {
    EXPECT_THROW(module_dependencies("", "x"), Error);
    EXPECT_THROW(
        module_dependencies(
            "\xfd"
            "7zXZ compressed" +
                std::string(100, 'x'),
            "x"
        ),
        Error
    );
    EXPECT_THROW(module_dependencies(testing::make_module("", ".text"), "x"), Error);
}

TEST(ModuleDependenciesTest, SurvivesEveryTruncation) {
    const std::string whole = testing::make_module_needing("a,b");
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_THROW(module_dependencies(whole.substr(0, size), "x"), Error) << size;
    }
}

class KernelModulesTest : public ::testing::Test {
  protected:
    KernelModulesTest() {
        tree_.write("modules.builtin", "kernel/fs/ext4/ext4.ko\nkernel/lib/crc-16.ko\n");
        add("drivers/virtio/virtio_ring.ko", "");
        add("drivers/virtio/virtio.ko", "virtio_ring");
        add("drivers/virtio/virtio-pci.ko", "virtio_ring,virtio");
        add("net/vsock.ko", "crc16");
        add("net/vsock_virtio.ko", "virtio,vsock");
    }

    void add(const std::string& file, const std::string& others) const {
        tree_.write("kernel/" + file, testing::make_module_needing(others));
    }

    std::vector<std::string> order(const std::vector<std::string>& names) const {
        std::vector<std::string> files;
        for (const auto& path : KernelModules(tree_.path()).in_load_order(names)) {
            files.push_back(path.filename());
        }
        return files;
    }

    testing::TempDir tree_;
};

TEST_F(KernelModulesTest, PutsEachModuleAfterWhatItNeedsAndOnce) {
    add("net/vsock.ko", "");
    EXPECT_THAT(
        order({"virtio_pci", "vsock_virtio"}),
        ElementsAre("virtio_ring.ko", "virtio.ko", "virtio-pci.ko", "vsock.ko", "vsock_virtio.ko")
    );
}

TEST_F(KernelModulesTest, LeavesOutWhatIsBuiltIn) {
    EXPECT_THAT(order({"ext4", "crc_16"}), IsEmpty());
}

TEST_F(KernelModulesTest, NamesAModuleThatIsNowhere) {
    try {
        order({"vsock"}); // which needs crc16, and there only is a crc_16
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_THAT(error.message(), HasSubstr("find kernel module crc16"));
    }
}

TEST_F(KernelModulesTest, EndsOnACircle) {
    add("a.ko", "b");
    add("b.ko", "a");
    EXPECT_THAT(order({"a"}), ElementsAre("b.ko", "a.ko"));
}

TEST(KernelModulesErrorTest, NamesADirectoryThatIsNotThere) {
    EXPECT_THROW(KernelModules("/nowhere"), Error);
}

} // namespace
} // namespace cppvm::vmimage
