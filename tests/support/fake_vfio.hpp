#pragma once

#include "host/storage/iommu_group.hpp"
#include "tests/support/temp_dir.hpp"

#include <filesystem>
#include <string>

namespace cppvm::testing {

/// A host with IOMMU groups, as sysfs shows them.
class FakeVfio {
  public:
    storage::DeviceTree tree() const { return {directory_ / "sys", directory_ / "dev"}; }

    /// A device of a group. `driver`: empty for none.
    void add_device(
        unsigned group,
        const std::string& address,
        const std::string& driver = "vfio-pci",
        const std::string& device_class = "0x020000"
    ) const {
        const std::string name = "sys/devices/" + address;
        directory_.write(name + "/class", device_class + "\n");
        if (!driver.empty()) {
            std::filesystem::create_directory_symlink(
                "../../bus/pci/drivers/" + driver, directory_ / name / "driver"
            );
        }
        const auto members = devices_of(group);
        std::filesystem::create_directories(members);
        std::filesystem::create_directory_symlink(directory_ / name, members / address);
    }

    /// Its node, once a driver of VFIO has one of its devices; a plain file, which can be opened.
    std::filesystem::path add_node(unsigned group, const std::string& number) const {
        const std::string name = std::to_string(group);
        directory_.write("sys/class/vfio/" + name + "/dev", number + "\n");
        directory_.write("sys/dev/char/" + number + "/uevent", "DEVNAME=vfio/" + name + "\n");
        return directory_.write("dev/vfio/" + name, "");
    }

    std::filesystem::path devices_of(unsigned group) const {
        return directory_ / "sys/kernel/iommu_groups" / std::to_string(group) / "devices";
    }

    const TempDir& directory() const noexcept { return directory_; }

  private:
    TempDir directory_;
};

} // namespace cppvm::testing
