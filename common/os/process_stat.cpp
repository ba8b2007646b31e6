#include "common/os/process_stat.hpp"

#include <charconv>
#include <system_error>

namespace cppvm {

// The name is in parentheses and may hold anything, so fields are counted after the last one.
std::optional<std::uint64_t> stat_number(std::string_view stat, int field) noexcept {
    std::size_t at = stat.rfind(')');
    for (int before = 2; at != stat.npos && before < field; ++before) {
        at = stat.find(' ', at + 1);
    }
    if (at == stat.npos) {
        return std::nullopt;
    }
    stat.remove_prefix(at + 1);
    std::uint64_t number = 0;
    // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): from_chars stops at the end
    const auto parsed = std::from_chars(stat.data(), stat.data() + stat.size(), number);
    return parsed.ec == std::errc{} ? std::optional(number) : std::nullopt;
}

} // namespace cppvm
