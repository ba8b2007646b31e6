#pragma once

#include <cstring>
#include <elf.h>
#include <string>
#include <string_view>

namespace cppvm::testing {

/// A 64-bit ELF file with one section besides the names: what a kernel module looks like to those
/// who read its .modinfo.
inline std::string make_module(std::string_view modinfo, std::string_view section = ".modinfo") {
    const std::string names =
        std::string(1, '\0') + std::string(section) + '\0' + ".shstrtab" + '\0';
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = 3;
    header.e_shstrndx = 2;
    header.e_shoff = sizeof header + modinfo.size() + names.size();
    Elf64_Shdr sections[3] = {};
    sections[1].sh_name = 1;
    sections[1].sh_offset = sizeof header;
    sections[1].sh_size = modinfo.size();
    sections[2].sh_name = static_cast<Elf64_Word>(2 + section.size());
    sections[2].sh_offset = sizeof header + modinfo.size();
    sections[2].sh_size = names.size();
    std::string file(reinterpret_cast<const char*>(&header), sizeof header);
    file.append(modinfo).append(names);
    file.append(reinterpret_cast<const char*>(sections), sizeof sections);
    return file;
}

/// The .modinfo of a module that needs others: "a,b".
inline std::string make_module_needing(const std::string& others) {
    using namespace std::string_literals;
    return make_module("license=GPL\0depends="s + others + "\0name=x\0"s);
}

} // namespace cppvm::testing
