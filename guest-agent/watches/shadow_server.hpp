#pragma once

#include <array>
#include <cstdint>

namespace cppvm::guest {

/// What the shadow's file system answers to the next system call on it: set by the process that
/// makes the call, in memory that it shares with the server. There is one such process.
struct ShadowStage {
    std::uint64_t parent = 0;        ///< node that has the one name that exists; 0: none
    std::array<char, 256> name{};    ///< that name
    bool is_directory = false;       ///< what it names
    std::uint64_t without_links = 0; ///< node whose last name has gone
    std::uint64_t gone = 0;          ///< node that is found no more
};

/// Numbers of nodes: the root is the kernel's 1.
std::uint64_t shadow_node(std::uint64_t watch, bool is_directory) noexcept;
/// The watch of a node of that kind; 0: another kind.
std::uint64_t watch_of_node(std::uint64_t node) noexcept;

/// Serves a file system (fuse(4)) that holds nothing: every change succeeds. In its root is a node
/// for each watch, "a<node>"; "b<node>" is free, for renaming to. Below those there is what the
/// stage says.
/// Blocks: until the file system is unmounted.
void serve_shadow(int fuse, const ShadowStage& stage);

} // namespace cppvm::guest
