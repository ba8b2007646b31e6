#include "guest-agent/cgroup/numbers.hpp"

#include "common/base/number.hpp"
#include "common/base/take_part.hpp"

#include <limits>

namespace cppvm::guest {

std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
    if (text.ends_with('\n')) {
        text.remove_suffix(1);
    }
    if (text == "max") {
        return std::numeric_limits<std::uint64_t>::max();
    }
    return to_number<std::uint64_t>(text);
}

std::uint64_t value_of(std::string_view text, std::string_view name) noexcept {
    while (!text.empty()) {
        std::string_view line = take_part(text, '\n');
        if (take_part(line, ' ') == name) {
            return parse_number(line).value_or(0);
        }
    }
    return 0;
}

void add_flat_keyed(
    std::string_view text, std::string_view prefix, std::map<std::string, std::uint64_t>& values
) {
    while (!text.empty()) {
        std::string_view line = take_part(text, '\n');
        const std::string_view name = take_part(line, ' ');
        if (const auto number = parse_number(line)) {
            values.insert_or_assign(std::string(prefix) + "." + std::string(name), *number);
        }
    }
}

std::vector<DeviceNumbers> parse_device_numbers(std::string_view text) {
    std::vector<DeviceNumbers> devices;
    while (!text.empty()) {
        std::string_view line = take_part(text, '\n');
        std::string_view device = take_part(line, ' ');
        const auto major = parse_number(take_part(device, ':'));
        const auto minor = parse_number(device);
        if (!major || !minor) {
            continue;
        }
        DeviceNumbers& numbers = devices.emplace_back();
        numbers.major = static_cast<std::uint32_t>(*major);
        numbers.minor = static_cast<std::uint32_t>(*minor);
        while (!line.empty()) {
            std::string_view value = take_part(line, ' ');
            const std::string_view name = take_part(value, '=');
            if (const auto number = parse_number(value)) {
                numbers.values.insert_or_assign(std::string(name), *number);
            }
        }
    }
    return devices;
}

} // namespace cppvm::guest
