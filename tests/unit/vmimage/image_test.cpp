#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/vmimage/elf_file.hpp"
#include "vmimage/cpio.hpp"
#include "vmimage/image.hpp"

#include <gmock/gmock.h>

#include <charconv>

namespace cppvm::vmimage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::size_t max_bytes = 1024UL * 1024;

struct Entry {
    std::string name;
    unsigned mode;
    std::string content;
};

// Reads a newc archive back, by the format's definition.
std::vector<Entry> read_cpio(const std::string& archive) {
    std::vector<Entry> entries;
    std::size_t at = 0;
    const auto field = [&](std::size_t index) {
        std::uint32_t value = 0;
        const char* const begin = archive.data() + at + 6 + index * 8;
        EXPECT_EQ(std::from_chars(begin, begin + 8, value, 16).ptr, begin + 8);
        return value;
    };
    while (at + 110 <= archive.size()) {
        EXPECT_EQ(archive.substr(at, 6), "070701");
        EXPECT_EQ(field(2), 0U); // user
        EXPECT_EQ(field(3), 0U); // group
        EXPECT_EQ(field(5), 0U); // time
        const std::size_t size = field(6);
        const std::size_t name_size = field(11);
        Entry entry{archive.substr(at + 110, name_size - 1), field(1), {}};
        const std::size_t data = (at + 110 + name_size + 3) / 4 * 4;
        entry.content = archive.substr(data, size);
        at = (data + size + 3) / 4 * 4;
        if (entry.name == "TRAILER!!!") {
            EXPECT_EQ(archive.find_first_not_of('\0', at), std::string::npos);
            return entries;
        }
        entries.push_back(entry);
    }
    ADD_FAILURE() << "no trailer";
    return entries;
}

TEST(CpioWriterTest, WritesEntriesThatReadBack) {
    CpioWriter writer;
    writer.add_directory("etc");
    writer.add_file("etc/a", "x", 0600);
    writer.add_file(
        "init",
        std::string(
            "\x7f"
            "ELF\0binary",
            11
        ),
        0755
    );
    writer.add_file("empty", "");
    const std::string archive = writer.finish();
    EXPECT_EQ(archive.size() % 512, 0U);
    const auto entries = read_cpio(archive);
    ASSERT_EQ(entries.size(), 4U);
    EXPECT_EQ(entries[0].name, "etc");
    EXPECT_EQ(entries[0].mode, 0040755U);
    EXPECT_EQ(entries[1].mode, 0100600U);
    EXPECT_EQ(entries[1].content, "x");
    EXPECT_EQ(entries[2].mode, 0100755U);
    EXPECT_EQ(entries[2].content.size(), 11U);
    EXPECT_EQ(entries[3].content, "");
}

class ImageTest : public ::testing::Test {
  protected:
    ImageTest() {
        const std::string modules = "tree/lib/modules/6.1.0-1-cloud-amd64/";
        tree_.write("tree/boot/vmlinuz-6.1.0-1-cloud-amd64", "the kernel");
        tree_.write(modules + "modules.builtin", "kernel/virtiofs.ko\n");
        tree_.write(modules + "kernel/virtio_pci.ko", testing::make_module_needing("virtio"));
        tree_.write(modules + "kernel/virtio.ko", testing::make_module_needing(""));
        spec_.kernel_tree = tree_ / "tree";
        spec_.agent = tree_.write(
            "agent",
            "\x7f"
            "ELF" +
                std::string(100, 'a')
        );
        spec_.output = tree_ / "out/image";
        tree_.write(modules + "kernel/virtio_net.ko", testing::make_module_needing("virtio"));
        spec_.modules = {"virtio_pci", "virtiofs"};
        tree_.write(modules + "kernel/virtio_blk.ko", testing::make_module_needing("virtio"));
        spec_.network_modules = {"virtio_net"};
        spec_.disk_modules = {"virtio_blk"};
    }

    std::string error() const {
        try {
            build_image(spec_);
        } catch (const Error& failure) {
            return failure.message();
        }
        return "no error";
    }

    testing::TempDir tree_;
    ImageSpec spec_;
};

TEST_F(ImageTest, PutsAgentAndModulesIntoTheInitramfs) {
    const ImageFiles files = build_image(spec_);
    EXPECT_EQ(files.kernel_release, "6.1.0-1-cloud-amd64");
    EXPECT_EQ(read_file(files.kernel, max_bytes), "the kernel");
    std::vector<std::string> names;
    for (const Entry& entry : read_cpio(read_file(files.initramfs, max_bytes))) {
        names.push_back(entry.name);
        if (entry.name == "etc/cppvm-modules") {
            EXPECT_EQ(entry.content, "/lib/modules/virtio.ko\n/lib/modules/virtio_pci.ko\n");
        }
        if (entry.name == "etc/cppvm-network-modules") {
            EXPECT_EQ(entry.content, "/lib/modules/virtio.ko\n/lib/modules/virtio_net.ko\n");
        }
        if (entry.name == "etc/cppvm-disk-modules") {
            EXPECT_EQ(entry.content, "/lib/modules/virtio.ko\n/lib/modules/virtio_blk.ko\n");
        }
        if (entry.name == "init") {
            EXPECT_EQ(entry.mode, 0100755U);
            EXPECT_EQ(entry.content, read_file(spec_.agent, max_bytes));
        }
    }
    EXPECT_THAT(
        names,
        ElementsAre(
            "dev",
            "etc",
            "etc/cppvm-disk-modules",
            "etc/cppvm-modules",
            "etc/cppvm-network-modules",
            "init",
            "lib",
            "lib/modules",
            "lib/modules/virtio.ko",
            "lib/modules/virtio_blk.ko",
            "lib/modules/virtio_net.ko",
            "lib/modules/virtio_pci.ko",
            "proc",
            "run",
            "sys",
            "tmp"
        )
    );
}

TEST_F(ImageTest, PutsNoModulesIntoTheInitramfsOfAKernelThatHasAllBuiltIn) {
    const std::string modules = "builtin/lib/modules/6.1.0-cppvm/";
    tree_.write("builtin/boot/vmlinuz-6.1.0-cppvm", "with set-up code");
    tree_.write("builtin/boot/vmlinux-6.1.0-cppvm", "entered directly");
    tree_.write(
        modules + "modules.builtin",
        "kernel/drivers/virtio/virtio_pci.ko\nkernel/fs/fuse/virtiofs.ko\n"
        "kernel/drivers/net/virtio_net.ko\nkernel/drivers/block/virtio_blk.ko\n"
    );
    std::filesystem::create_directory(tree_ / (modules + "kernel"));
    spec_.kernel_tree = tree_ / "builtin";
    const ImageFiles files = build_image(spec_);
    EXPECT_EQ(files.kernel_release, "6.1.0-cppvm");
    EXPECT_EQ(read_file(files.kernel, max_bytes), "entered directly");
    for (const Entry& entry : read_cpio(read_file(files.initramfs, max_bytes))) {
        EXPECT_THAT(entry.name, Not(StartsWith("lib/modules/")));
        if (entry.name == "etc/cppvm-modules") {
            EXPECT_EQ(entry.content, "");
        }
    }
}

TEST_F(ImageTest, GivesTheSameBytesForTheSameInput) {
    const std::string first = read_file(build_image(spec_).initramfs, max_bytes);
    // Neither place nor time of the input matters.
    std::filesystem::rename(tree_ / "tree", tree_ / "moved");
    spec_.kernel_tree = tree_ / "moved";
    std::filesystem::last_write_time(spec_.agent, std::filesystem::file_time_type());
    EXPECT_EQ(read_file(build_image(spec_).initramfs, max_bytes), first);
}

TEST_F(ImageTest, RefusesAnAgentThatNeedsSharedLibraries) {
    tree_.write(
        "agent",
        "\x7f"
        "ELF" +
            std::string(100, 'a') + "/lib64/ld-linux-x86-64.so.2"
    );
    EXPECT_THAT(error(), HasSubstr("link it statically"));
    tree_.write("agent", "#!/bin/sh\n");
    EXPECT_THAT(error(), HasSubstr("not an ELF program"));
    spec_.agent = "/nowhere/agent";
    EXPECT_THAT(error(), HasSubstr("/nowhere/agent"));
}

TEST_F(ImageTest, RefusesATreeThatIsNoKernelPackage) {
    spec_.kernel_tree = "/nowhere";
    EXPECT_THAT(error(), HasSubstr("unpacked kernel package"));
    spec_.kernel_tree = tree_ / "tree";
    std::filesystem::create_directory(tree_ / "tree/lib/modules/second");
    EXPECT_THAT(error(), HasSubstr("more than one"));
}

TEST_F(ImageTest, KeepsTheOldImageWhenItFails) {
    build_image(spec_);
    spec_.modules = {"absent"};
    EXPECT_THAT(error(), HasSubstr("find kernel module absent"));
    EXPECT_EQ(read_file(tree_ / "out/image/vmlinuz", max_bytes), "the kernel");
}

} // namespace
} // namespace cppvm::vmimage
