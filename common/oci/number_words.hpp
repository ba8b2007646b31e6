#pragma once

#include "common/oci/refuse.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cppvm::oci {

/// A word of the spec that stands for a number of the kernel or of a library.
struct NumberWord {
    std::string_view name;
    std::uint32_t number;
};

/// Nothing if there is no such word.
inline std::optional<std::uint32_t>
find_number(std::span<const NumberWord> words, std::string_view name) noexcept {
    const auto found = std::ranges::find(words, name, &NumberWord::name);
    return found == words.end() ? std::nullopt : std::optional(found->number);
}

/// Throws: Error (invalid_argument) "<path>: unknown <kind> '<name>'".
inline std::uint32_t number_of(
    std::span<const NumberWord> words,
    const std::string& name,
    const std::string& path,
    const std::string& kind
) {
    constexpr std::size_t max_shown = 64;
    const auto number = find_number(words, name);
    if (!number) {
        refuse(path, "unknown " + kind + " '" + name.substr(0, max_shown) + "'");
    }
    return *number;
}

} // namespace cppvm::oci
