#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::oci {

// The words of the OCI runtime specification that stand for numbers of the kernel. Host, guest and
// the answer to `-info` all use these tables.

/// A mount option that is the kernel's and not a file system's (mount(8), config.md "Mounts").
struct MountWord {
    std::string_view name;
    unsigned long flags;      ///< MS_* that it sets, for mount(2)
    unsigned long no_flags;   ///< and clears; cleared first
    std::uint64_t attributes; ///< the same for MOUNT_ATTR_* of mount_setattr(2)
    std::uint64_t no_attributes;

    /// Of a mount, so that binds can have it; else of the file system ("sync"), or without effect.
    constexpr bool has_attributes() const noexcept { return (attributes | no_attributes) != 0; }
};

std::span<const MountWord> mount_words() noexcept;
/// Null if there is no such word.
const MountWord* find_mount_word(std::string_view name) noexcept;
/// The word for all mounts below, too: "rro" gives "ro". Null if there is none.
const MountWord* find_recursive_mount_word(std::string_view name) noexcept;

/// MS_SHARED and the like, with MS_REC where the word begins with "r".
struct PropagationWord {
    std::string_view name;
    unsigned long flags;
};

std::span<const PropagationWord> propagation_words() noexcept;
const PropagationWord* find_propagation_word(std::string_view name) noexcept;

/// A type of namespaces, with its CLONE_NEW… flag.
struct NamespaceWord {
    std::string_view name;
    std::uint64_t flag;
};

/// Those that are supported.
std::span<const NamespaceWord> namespace_words() noexcept;
const NamespaceWord* find_namespace_word(std::string_view name) noexcept;

/// "CAP_CHOWN" gives 0; nothing for a name that this program's libcap does not know.
std::optional<unsigned> capability_number(std::string_view name) noexcept;
/// The name of a capability; its number in digits where there is none.
std::string capability_name(int number);
/// All that libcap knows, by number.
std::vector<std::string> capability_names();

} // namespace cppvm::oci
