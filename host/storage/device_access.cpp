#include "host/storage/device_access.hpp"

#include "common/oci/device_match.hpp"

#include <string>
#include <sys/sysmacros.h>

namespace cppvm::storage {

namespace {

bool is_for_all(const oci::DeviceRule& rule) {
    return rule.type.empty() || rule.type == "a";
}

bool covers(const oci::DeviceRule& rule, dev_t number) {
    return is_for_all(rule) || (rule.type == "b" && oci::matches(rule.major, major(number)) &&
                                oci::matches(rule.minor, minor(number)));
}

} // namespace

DeviceAccess block_device_access(std::span<const oci::DeviceRule> rules, dev_t number) {
    DeviceAccess access;
    for (const oci::DeviceRule& rule : rules) {
        if (!covers(rule, number)) {
            continue;
        }
        const bool all = is_for_all(rule);
        const bool exact = !all && !oci::is_any(rule.major) && !oci::is_any(rule.minor);
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

} // namespace cppvm::storage
