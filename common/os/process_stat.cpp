#include "common/os/process_stat.hpp"

#include "common/base/number.hpp"

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
    return take_number<std::uint64_t>(stat);
}

} // namespace cppvm
