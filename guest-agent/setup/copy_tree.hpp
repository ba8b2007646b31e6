#pragma once

#include <string>

namespace cppvm::guest {

/// Copies what is in the directory `from` into the directory `to` (either may be O_PATH): files,
/// directories, links, fifos, sockets and devices, with owner, mode and times. No link is followed.
/// The mount option "tmpcopyup" asks for it. Blocks. Throws: Error that names `name`.
void copy_tree(int from, int to, const std::string& name);

} // namespace cppvm::guest
