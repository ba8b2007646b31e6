#pragma once

#include <algorithm>
#include <string_view>

namespace cppvm {

/// Takes off `rest` what is before the first `separator`, and that; all of it where there is none.
/// Returns what was before. So "a,b" and "a,b," have the same two parts.
inline std::string_view take_part(std::string_view& rest, char separator) noexcept {
    const std::string_view part = rest.substr(0, rest.find(separator));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    return part;
}

} // namespace cppvm
