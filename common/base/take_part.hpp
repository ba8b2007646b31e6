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

/// Removes from `rest` its first word and the blanks before it, and returns the word; empty: there
/// is none left.
inline std::string_view take_word(std::string_view& rest) noexcept {
    constexpr const char* blanks = " \t\r";
    rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
    const std::string_view word = rest.substr(0, rest.find_first_of(blanks));
    rest.remove_prefix(word.size());
    return word;
}

} // namespace cppvm
