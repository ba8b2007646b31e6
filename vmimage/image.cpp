#include "vmimage/image.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "vmimage/cpio.hpp"
#include "vmimage/kernel_modules.hpp"

#include <elf.h>
#include <map>
#include <set>

namespace cppvm::vmimage {

namespace {

constexpr std::size_t max_file_bytes = std::size_t{256} * 1024 * 1024;

// The one entry of a directory.
std::filesystem::path only_entry(const std::filesystem::path& directory, const char* what) {
    std::error_code error;
    std::filesystem::path found;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
        if (!found.empty()) {
            throw Error(
                Code::invalid_argument,
                "find " + std::string(what) + " in " + directory.native() + ": more than one"
            );
        }
        found = entry.path();
    }
    if (found.empty()) {
        throw Error(
            Code::invalid_argument,
            "find " + std::string(what) + " in " + directory.native() +
                ": none; is this an unpacked kernel package?"
        );
    }
    return found;
}

// A dynamic /init ends in a kernel panic that does not name the reason.
void check_static(std::string_view program, const std::filesystem::path& path) {
    if (program.size() < sizeof(Elf64_Ehdr) || !program.starts_with(ELFMAG)) {
        throw Error(Code::invalid_argument, "read agent " + path.native() + ": not an ELF program");
    }
    if (program.find("/lib64/ld-linux-x86-64.so.2") != std::string_view::npos) {
        throw Error(
            Code::invalid_argument,
            "read agent " + path.native() +
                ": needs shared libraries, which the image does not have; link it statically"
        );
    }
}

// vmlinux, which QEMU enters directly (PVH), where the tree has it: see docs/adr/0007. The
// distribution's packages do not.
std::filesystem::path kernel_file(const std::filesystem::path& tree, const std::string& release) {
    const auto direct = tree / "boot" / ("vmlinux-" + release);
    return std::filesystem::exists(direct) ? direct : tree / "boot" / ("vmlinuz-" + release);
}

using Modules = std::vector<std::filesystem::path>; // in an order in which they can be loaded

std::string module_list(const Modules& modules) {
    std::string list;
    for (const auto& module : modules) {
        list.append("/lib/modules/").append(module.filename()).append("\n");
    }
    return list;
}

/// By the names of the lists in the image.
using ModuleLists = std::map<std::string, Modules>;

std::string make_initramfs(std::string_view agent, const ModuleLists& lists) {
    CpioWriter archive;
    archive.add_directory("dev");
    archive.add_directory("etc");
    std::set<std::filesystem::path> files;
    for (const auto& [name, modules] : lists) {
        archive.add_file("etc/" + name, module_list(modules));
        files.insert(modules.begin(), modules.end());
    }
    archive.add_file("init", agent, 0755);
    archive.add_directory("lib");
    archive.add_directory("lib/modules");
    for (const auto& module : files) {
        archive.add_file(
            "lib/modules/" + module.filename().native(), read_file(module, max_file_bytes)
        );
    }
    for (const char* directory : {"proc", "run", "sys", "tmp"}) {
        archive.add_directory(directory);
    }
    return archive.finish();
}

} // namespace

std::vector<std::string> guest_modules() {
    return {"virtio_pci", "vmw_vsock_virtio_transport", "virtiofs", "virtio_balloon"};
}

std::vector<std::string> guest_network_modules() {
    return {"virtio_net"};
}

std::vector<std::string> guest_disk_modules() {
    return {"virtio_blk", "loop", "erofs", "overlay"};
}

ImageFiles build_image(const ImageSpec& spec) {
    const auto release_dir = only_entry(spec.kernel_tree / "lib/modules", "the kernel's modules");
    ImageFiles files;
    files.kernel_release = release_dir.filename();
    const std::string kernel =
        read_file(kernel_file(spec.kernel_tree, files.kernel_release), max_file_bytes);
    const std::string agent = read_file(spec.agent, max_file_bytes);
    check_static(agent, spec.agent);
    const KernelModules modules(release_dir);
    const std::string initramfs = make_initramfs(
        agent,
        {{"cppvm-modules", modules.in_load_order(spec.modules)},
         {"cppvm-network-modules", modules.in_load_order(spec.network_modules)},
         {"cppvm-disk-modules", modules.in_load_order(spec.disk_modules)}}
    );

    std::error_code error;
    std::filesystem::create_directories(spec.output, error);
    if (error) {
        throw_errno("make directory", spec.output.native(), error.value());
    }
    files.kernel = spec.output / "vmlinuz";
    files.initramfs = spec.output / "initramfs.img";
    // The kernel last: a build that fails half way does not pair a new kernel with old modules.
    write_file_atomically(files.initramfs, initramfs, 0644);
    write_file_atomically(files.kernel, kernel, 0644);
    return files;
}

} // namespace cppvm::vmimage
