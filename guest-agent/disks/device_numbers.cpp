#include "guest-agent/disks/device_numbers.hpp"

#include "common/oci/device_match.hpp"
#include "common/oci/refuse.hpp"

#include <algorithm>
#include <string>
#include <sys/sysmacros.h>
#include <utility>
#include <vector>

namespace cppvm::guest {

using oci::is_any;
using oci::matches;

namespace {

void add_translated(
    const oci::DeviceRule& rule,
    std::span<const DiskNumbers> disks,
    std::vector<oci::DeviceRule>& rules
) {
    for (const DiskNumbers& disk : disks) {
        if (matches(rule.major, major(disk.host)) && matches(rule.minor, minor(disk.host))) {
            oci::DeviceRule translated = rule;
            translated.major = major(disk.guest);
            translated.minor = minor(disk.guest);
            rules.push_back(std::move(translated));
        }
    }
}

} // namespace

void use_guest_numbers(oci::Linux& spec, std::span<const DiskNumbers> disks) {
    for (std::size_t i = 0; i < spec.devices.size(); ++i) {
        oci::Device& device = spec.devices[i];
        if (device.type != "b") {
            continue;
        }
        const auto found = std::ranges::find_if(disks, [&](const DiskNumbers& disk) {
            return matches(device.major, major(disk.host)) &&
                   matches(device.minor, minor(disk.host));
        });
        if (found == disks.end()) {
            oci::refuse("linux.devices[" + std::to_string(i) + "]", "is no disk of this machine");
        }
        device.major = major(found->guest);
        device.minor = minor(found->guest);
    }
    std::vector<oci::DeviceRule> rules;
    for (const oci::DeviceRule& rule : spec.resources.devices) {
        if (rule.type != "b" || (is_any(rule.major) && is_any(rule.minor))) {
            rules.push_back(rule);
        } else {
            add_translated(rule, disks, rules);
        }
    }
    spec.resources.devices = std::move(rules);
}

} // namespace cppvm::guest
