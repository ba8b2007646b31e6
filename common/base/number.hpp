#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>
#include <system_error>

namespace cppvm {

/// Removes from `text` the number at its beginning and returns it; nothing, and `text` as it was,
/// where there is none or it does not fit. Neither blanks nor '+' nor a prefix of the base are part
/// of a number, and '-' is one of signed types alone (std::from_chars).
template <std::integral Number>
std::optional<Number> take_number(std::string_view& text, int base = 10) noexcept {
    Number number = 0;
    const char* const begin = text.data();
    const auto [end, error] = std::from_chars(begin, begin + text.size(), number, base);
    if (error != std::errc{}) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(end - begin));
    return number;
}

/// The number that the whole of `text` is; nothing where it is none or does not fit.
template <std::integral Number>
std::optional<Number> to_number(std::string_view text, int base = 10) noexcept {
    const auto number = take_number<Number>(text, base);
    return text.empty() ? number : std::nullopt;
}

/// As to_number(), of a file of the kernel or of ours, which ends its only line.
template <std::integral Number>
std::optional<Number> line_to_number(std::string_view line) noexcept {
    if (line.ends_with('\n')) {
        line.remove_suffix(1);
    }
    return to_number<Number>(line);
}

} // namespace cppvm
