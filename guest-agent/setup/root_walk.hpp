#pragma once

#include "common/base/unique_fd.hpp"

#include <string>
#include <string_view>
#include <sys/types.h>

namespace cppvm::guest {

enum class NodeKind { directory, file };

/// Everything but a directory is a file here. Throws: Error naming `name`.
NodeKind kind_of(int fd, const std::string& name);

/// An absolute path without ".", ".." and doubled or trailing slashes. The file system has no say.
std::string clean_path(std::string_view path);

/// A path inside of a container's root, as an O_PATH descriptor; symbolic links are followed as
/// they would be inside (absolute ones start again at `root`, ".." stops there). Empty if there is
/// none.
///
/// The walk opens one component at a time without following links, so that an image cannot lead it
/// outside, nor can a process that renames directories of a shared volume meanwhile: ".." goes back
/// to a descriptor that the walk already holds, never through the file system. Links of procfs that
/// are not paths (/proc/self/fd/1) are refused.
/// Throws: Error naming the path.
UniqueFd resolve_in_root(int root, std::string_view path);

/// The same, and what is missing is made: directories (mode 0755) and at the end an empty file
/// (mode 0644) or a directory. A link to nowhere is followed and its target made, as images with a
/// /etc/resolv.conf into /run need it.
UniqueFd make_in_root(int root, std::string_view path, NodeKind kind);

/// The same, but what the path names must not be a link itself.
/// Throws: also Error (failed_precondition) if it is, or is of another kind.
UniqueFd make_plain_in_root(int root, std::string_view path, NodeKind kind);

/// The parent of a node to be made: O_PATH descriptor of the directory (made where missing), and
/// the node's name.
struct NodePlace {
    UniqueFd parent;
    std::string_view name;
};
/// Throws: also Error (invalid_argument) for a path that ends in "/", "." or "..".
NodePlace make_parent_in_root(int root, std::string_view path);

} // namespace cppvm::guest
