#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm::vmimage {

/// What the guest needs that a distribution's kernel does not have built in: virtio over PCI,
/// vsock, virtiofs, and the balloon that gives freed memory back. What is not needed to run
/// containers from the share is not loaded at each boot. Of a kernel that has them built in, and
/// says so in modules.builtin, nothing is loaded.
std::vector<std::string> guest_modules();

/// What it needs besides where it has network interfaces; loaded when it is given the first.
std::vector<std::string> guest_network_modules();

/// And where it has disks, which may lie over the layers of an image; loaded when it is given the
/// first. ext4 is built in.
std::vector<std::string> guest_disk_modules();

/// What an image is made of. Plain data.
struct ImageSpec {
    std::filesystem::path kernel_tree; ///< an unpacked kernel package: boot/, lib/modules/; or
                                       ///< what vmimage/kernel/build gives
    std::filesystem::path agent;       ///< static; becomes /init
    std::filesystem::path output;      ///< directory; gets the two files
    std::vector<std::string> modules = guest_modules();
    std::vector<std::string> network_modules = guest_network_modules();
    std::vector<std::string> disk_modules = guest_disk_modules();
};

/// What was built. Plain data.
struct ImageFiles {
    std::filesystem::path kernel;    ///< <output>/vmlinuz
    std::filesystem::path initramfs; ///< <output>/initramfs.img
    std::string kernel_release;
};

/// Builds the files and replaces older ones as a whole. The same input gives the same bytes.
/// Throws: Error.
ImageFiles build_image(const ImageSpec& spec);

} // namespace cppvm::vmimage
