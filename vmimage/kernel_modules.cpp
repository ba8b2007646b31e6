#include "vmimage/kernel_modules.hpp"

#include "common/base/error.hpp"
#include "common/base/take_part.hpp"
#include "common/os/file.hpp"

#include <cstring>
#include <elf.h>

namespace cppvm::vmimage {

namespace {

constexpr std::size_t max_module_bytes = std::size_t{64} * 1024 * 1024;

// File names and modinfo mix '-' and '_'; the kernel knows modules by '_' only.
std::string canonical(std::string_view name) {
    std::string result(name);
    std::replace(result.begin(), result.end(), '-', '_');
    return result;
}

// "kernel/drivers/virtio/virtio_pci.ko" gives "virtio_pci"; nothing for other files.
std::string module_name(const std::filesystem::path& file) {
    return file.extension() == ".ko" ? canonical(file.stem().native()) : std::string();
}

template <class T>
T read_at(std::string_view elf, std::size_t offset, const std::string& name) {
    if (offset > elf.size() || elf.size() - offset < sizeof(T)) {
        throw Error(Code::invalid_argument, "read module " + name + ": truncated");
    }
    T value;
    std::memcpy(&value, elf.data() + offset, sizeof value);
    return value;
}

std::string_view part(std::string_view elf, const Elf64_Shdr& section, const std::string& name) {
    if (section.sh_offset > elf.size() || elf.size() - section.sh_offset < section.sh_size) {
        throw Error(Code::invalid_argument, "read module " + name + ": truncated");
    }
    return elf.substr(section.sh_offset, section.sh_size);
}

std::string_view
find_section(std::string_view elf, std::string_view wanted, const std::string& name) {
    const auto header = read_at<Elf64_Ehdr>(elf, 0, name);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_shentsize != sizeof(Elf64_Shdr)) {
        throw Error(
            Code::invalid_argument, "read module " + name + ": not an uncompressed 64-bit ELF file"
        );
    }
    const auto section = [&](std::size_t index) {
        return read_at<Elf64_Shdr>(elf, header.e_shoff + index * sizeof(Elf64_Shdr), name);
    };
    const std::string_view names = part(elf, section(header.e_shstrndx), name);
    for (std::size_t i = 0; i < header.e_shnum; ++i) {
        const Elf64_Shdr candidate = section(i);
        if (candidate.sh_name < names.size()) {
            const std::string_view text = names.substr(candidate.sh_name);
            if (text.substr(0, text.find('\0')) == wanted) {
                return part(elf, candidate, name);
            }
        }
    }
    throw Error(Code::invalid_argument, "read module " + name + ": no " + std::string(wanted));
}

} // namespace

std::vector<std::string> module_dependencies(std::string_view elf, const std::string& name) {
    std::vector<std::string> dependencies;
    std::string_view info = find_section(elf, ".modinfo", name);
    constexpr std::string_view key = "depends=";
    while (!info.empty()) {
        std::string_view entry = take_part(info, '\0');
        if (!entry.starts_with(key)) {
            continue;
        }
        entry.remove_prefix(key.size());
        while (!entry.empty()) {
            dependencies.push_back(canonical(take_part(entry, ',')));
        }
    }
    return dependencies;
}

KernelModules::KernelModules(std::filesystem::path directory) : directory_(std::move(directory)) {
    std::error_code error;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(directory_ / "kernel", error)) {
        const std::string name = module_name(entry.path());
        if (!name.empty()) {
            files_.emplace(name, entry.path());
        }
    }
    if (error) {
        throw_errno("read modules in", directory_.native(), error.value());
    }
    constexpr std::size_t max_list_bytes = std::size_t{4} * 1024 * 1024;
    std::string list = read_file(directory_ / "modules.builtin", max_list_bytes);
    for (std::string_view rest = list; !rest.empty();) {
        built_in_.insert(module_name(std::filesystem::path(take_part(rest, '\n'))));
    }
}

void KernelModules::visit(
    const std::string& name, std::set<std::string>& seen, std::vector<std::filesystem::path>& order
) const {
    if (built_in_.contains(name) || !seen.insert(name).second) {
        return;
    }
    const auto file = files_.find(name);
    if (file == files_.end()) {
        throw Error(
            Code::failed_precondition,
            "find kernel module " + name + ": " + directory_.native() +
                " has it neither as a file nor built in; choose another kernel"
        );
    }
    const std::string elf = read_file(file->second, max_module_bytes);
    for (const auto& dependency : module_dependencies(elf, name)) {
        visit(dependency, seen, order);
    }
    order.push_back(file->second);
}

std::vector<std::filesystem::path>
KernelModules::in_load_order(const std::vector<std::string>& names) const {
    std::set<std::string> seen;
    std::vector<std::filesystem::path> order;
    for (const auto& name : names) {
        visit(canonical(name), seen, order);
    }
    return order;
}

} // namespace cppvm::vmimage
