#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// How the files of cgroup v2 say numbers (cgroup-v2.rst, "Format"). "max" is 2^64 - 1.
namespace cppvm::guest {

/// "123" or "max", with a line's end or not. Nothing for anything else.
std::optional<std::uint64_t> parse_number(std::string_view text) noexcept;

/// "name 123" in the lines of a flat keyed file; 0 if it is not there.
std::uint64_t value_of(std::string_view text, std::string_view name) noexcept;

/// All lines of a flat keyed file, under `prefix` and their name.
void add_flat_keyed(
    std::string_view text, std::string_view prefix, std::map<std::string, std::uint64_t>& values
);

/// A line of io.stat: "8:16 rbytes=1 wbytes=2".
struct DeviceNumbers {
    std::uint32_t major = 0;
    std::uint32_t minor = 0;
    std::map<std::string, std::uint64_t> values;
};

std::vector<DeviceNumbers> parse_device_numbers(std::string_view text);

} // namespace cppvm::guest
