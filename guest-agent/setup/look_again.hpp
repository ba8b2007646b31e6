#pragma once

#include <string>
#include <string_view>

namespace cppvm::guest {

/// Takes from the host what it knows of a name, whatever this machine remembers of it; says whether
/// it is there. Blocks: for as long as the host does not answer.
bool look_again_at(int directory, const std::string& name) noexcept;

/// The same for each name on the way from `directory` to what `path`, below it, leads to. Links are
/// not followed. What cannot be looked at, containers cannot see either.
void look_again(int directory, std::string_view path) noexcept;

} // namespace cppvm::guest
