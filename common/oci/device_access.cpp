#include "common/oci/device_access.hpp"

#include "common/oci/device_match.hpp"

#include <string>
#include <sys/sysmacros.h>

namespace cppvm::oci {

namespace {

bool is_for_all(const DeviceRule& rule) {
    return rule.type.empty() || rule.type == "a";
}

bool covers(const DeviceRule& rule, std::string_view type, dev_t number) {
    return is_for_all(rule) || (rule.type == type && matches(rule.major, major(number)) &&
                                matches(rule.minor, minor(number)));
}

} // namespace

DeviceAccess device_access(std::span<const DeviceRule> rules, std::string_view type, dev_t number) {
    DeviceAccess access;
    for (const DeviceRule& rule : rules) {
        if (!covers(rule, type, number)) {
            continue;
        }
        const bool all = is_for_all(rule);
        const bool exact = !all && !is_any(rule.major) && !is_any(rule.minor);
        const auto change = [&](char letter, bool& allowed) {
            if (all || rule.access.find(letter) != std::string::npos) {
                allowed = rule.allow;
                access.by_number |= rule.allow && exact;
            }
        };
        change('r', access.read);
        change('w', access.write);
    }
    return access;
}

} // namespace cppvm::oci
