#include "host/storage/iommu_group.hpp"

#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"
#include "host/storage/host_device.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <system_error>

namespace cppvm::storage {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view vfio_driver = "vfio-pci";
constexpr std::string_view bridge_class = "0x06"; // PCI's base class, as of `class`
constexpr std::size_t max_class_bytes = 32;

[[noreturn]] void refuse(const std::string& problem) {
    throw Error(Code::failed_precondition, problem);
}

bool has_nothing_in(const fs::path& directory) noexcept {
    std::error_code error;
    return fs::directory_iterator(directory, error) == fs::directory_iterator();
}

bool is_bridge(const fs::path& device) {
    return read_file(device / "class", max_class_bytes).starts_with(bridge_class);
}

/// Empty: none.
std::string driver_of(const fs::path& device) {
    std::error_code error;
    const fs::path link = fs::read_symlink(device / "driver", error);
    return error ? std::string() : link.filename().native();
}

bool goes_to_machine(const fs::path& device, const std::string& group_name) {
    const std::string name = device.filename().native();
    const std::string driver = driver_of(device);
    std::error_code error;
    const bool is_pci = fs::exists(device / "class", error);
    if (driver.empty() || (is_pci && is_bridge(device))) {
        return false;
    }
    if (!is_pci || driver != vfio_driver) {
        refuse(
            group_name + ": the driver " + driver + " has its device " + name +
            (is_pci ? "; bind that to vfio-pci (driverctl set-override " + name + " vfio-pci)"
                    : ", and only PCI devices can be given to a machine")
        );
    }
    return true;
}

} // namespace

std::optional<std::string> vfio_name(const DeviceTree& host, dev_t number) {
    constexpr std::string_view directory = "vfio/";
    const std::string name = kernels_name(host.sys, "char", number);
    if (!name.starts_with(directory)) {
        return std::nullopt;
    }
    return name.substr(directory.size());
}

bool has_vfio_groups(const DeviceTree& host) noexcept {
    return !has_nothing_in(host.sys / "class/vfio");
}

std::filesystem::path node_of_group(const DeviceTree& host, unsigned group) {
    return host.dev / "vfio" / std::to_string(group);
}

bool is_group_open(const DeviceTree& host, unsigned group) {
    const fs::path node = node_of_group(host, group);
    const UniqueFd fd(::open(node.c_str(), O_RDWR | O_CLOEXEC));
    if (fd || errno == ENOENT || errno == ENODEV) { // gone when its last device was unbound
        return false;
    }
    if (errno != EBUSY) {
        throw_errno("open", node.native());
    }
    return true;
}

std::vector<std::string> devices_of_group(const DeviceTree& host, unsigned group) {
    const fs::path groups = host.sys / "kernel/iommu_groups";
    const std::string name = "IOMMU group " + std::to_string(group);
    if (has_nothing_in(groups)) {
        refuse("the host has no IOMMU in use; enable VT-d or AMD-Vi in its firmware, and boot with "
               "intel_iommu=on where its processor is Intel's");
    }
    std::vector<std::string> addresses;
    std::error_code error;
    for (fs::directory_iterator entry(groups / std::to_string(group) / "devices", error), end;
         !error && entry != end;
         entry.increment(error)) {
        if (goes_to_machine(entry->path(), name)) {
            addresses.push_back(entry->path().filename().native());
        }
    }
    if (error) {
        refuse("the host has no " + name + ": " + error.message());
    }
    if (addresses.empty()) {
        refuse("no device of " + name + " is bound to vfio-pci");
    }
    if (is_group_open(host, group)) {
        refuse(name + " is in use, by another machine or program");
    }
    std::ranges::sort(addresses);
    return addresses;
}

} // namespace cppvm::storage
