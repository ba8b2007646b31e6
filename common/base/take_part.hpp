#pragma once

#include <algorithm>
#include <string_view>

namespace cppvm {

/// Removes from `rest` everything up to and including the first `separator`, or all of it if there
/// is none, and returns what came before the separator. So "a,b" and "a,b," have the same two
/// parts.
inline std::string_view take_part(std::string_view& rest, char separator) noexcept {
    const std::string_view part = rest.substr(0, rest.find(separator));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    return part;
}

} // namespace cppvm
