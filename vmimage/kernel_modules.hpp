#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cppvm::vmimage {

/// The names after "depends=" in the .modinfo section of a kernel module (64-bit ELF, little
/// endian). Throws: Error (invalid_argument) if it is no such module.
std::vector<std::string> module_dependencies(std::string_view elf, const std::string& name);

/// The modules below /lib/modules/<release> of a kernel that is not installed.
class KernelModules {
  public:
    /// Throws: Error.
    explicit KernelModules(std::filesystem::path directory);

    /// Files of the named modules and all that they need, each once, in an order in which they can
    /// be loaded one after the other. What is built into the kernel is left out.
    /// Throws: Error naming a module that the kernel has neither way.
    std::vector<std::filesystem::path> in_load_order(const std::vector<std::string>& names) const;

  private:
    void visit(
        const std::string& name,
        std::set<std::string>& seen,
        std::vector<std::filesystem::path>& order
    ) const;

    std::filesystem::path directory_;
    std::unordered_map<std::string, std::filesystem::path> files_;
    std::set<std::string> built_in_;
};

} // namespace cppvm::vmimage
