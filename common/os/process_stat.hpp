#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace cppvm {

/// One number of /proc/PID/stat, whose text is `stat`: fields are counted as in proc(5), from 1 on,
/// and only those after the name (field 2) are numbers that can be asked for. Nothing if there is
/// no such field, or no unsigned number in it.
std::optional<std::uint64_t> stat_number(std::string_view stat, int field) noexcept;

} // namespace cppvm
