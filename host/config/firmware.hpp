#pragma once

#include <string>

namespace cppvm::config {

/// The firmware that does least: it sets the processor up and jumps to the kernel. Packages of QEMU
/// bring it along (https://github.com/bonzini/qboot), in the directory where QEMU looks for names
/// without a path.
inline constexpr const char* qboot_name = "qboot.rom";
inline constexpr const char* qboot_path = "/usr/share/qemu/qboot.rom";

/// Whether a machine with this `firmware` of [vm] gets qboot; else it gets QEMU's own, SeaBIOS.
/// `path`: where qboot would be.
bool uses_qboot(const std::string& firmware, const char* path = qboot_path);

} // namespace cppvm::config
