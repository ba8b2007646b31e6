#pragma once

#include "common/async/asio.hpp"
#include "common/async/turn.hpp"
#include "host/storage/disk_source.hpp"
#include "host/storage/iommu_group.hpp"
#include "host/vm/virtual_machine.hpp"

#include <set>
#include <string>
#include <vector>

namespace cppvm::sandbox {

/// A port of the machine's for each; what they cost is in docs/adr/0018.
inline constexpr unsigned max_disks = 8;

/// The devices that the machine has for its containers: disks, and hardware of the host's. What the
/// host has once, the machine has once, however many containers of the pod have it: two disks of
/// one device would have a cache each, and hardware is nobody else's meanwhile. Owns: the disks'
/// sources. The machine is the caller's. Thread: the loop's only.
class DeviceKeeper {
  public:
    /// `host`: where the hardware is found.
    DeviceKeeper(const asio::any_io_executor& executor, storage::DeviceTree host);

    /// Gives the machine a disk for a container; its serial number, by which the guest finds it.
    /// After a failure the container may have others still.
    /// Throws: Error that names the disk: it cannot be opened, there are too many of them, another
    /// container has it read-only, QEMU refuses it. Cancels: not to be cancelled.
    Awaitable<std::string> add_disk(
        vm::VirtualMachine& machine,
        std::string container_id,
        storage::DiskSpec spec,
        Deadline deadline
    );

    /// Gives the machine the devices of an IOMMU group for a container; the guest's addresses of
    /// their ports. `ports`: how many of those the machine has. After a failure the container may
    /// have some of them still, until `remove`.
    /// Throws: Error that names the group: it or one of its devices cannot be given away, there are
    /// too many of them, QEMU refuses one. Cancels: not to be cancelled.
    Awaitable<std::vector<std::string>> add_group(
        vm::VirtualMachine& machine,
        std::string container_id,
        unsigned group,
        unsigned ports,
        Deadline deadline
    );

    /// Takes those away that only this container has. Throws: Error where the guest keeps one; then
    /// `forget` is due, once the machine is gone. Cancels: not to be cancelled.
    Awaitable<> remove(vm::VirtualMachine& machine, std::string container_id, Deadline deadline);

    /// The container has none any more; the machine is gone.
    void forget(const std::string& container_id);

  private:
    struct Disk {
        std::string serial;
        bool read_only = false;
        storage::DiskSource source;
        std::set<std::string> users; ///< containers
    };

    struct Group {
        unsigned number = 0;
        bool complete = false; ///< the machine has all that goes with it
        std::vector<vm::PciDevice> devices;
        std::set<std::string> users;
    };

    Disk* find(dev_t device) noexcept;
    Group* find_group(unsigned number) noexcept;
    void require_room() const;
    unsigned take_port(unsigned ports) const;
    Awaitable<> wait_closed(unsigned group, Deadline deadline);
    Awaitable<>
    attach_group(vm::VirtualMachine& machine, Group& group, unsigned ports, Deadline deadline);

    asio::any_io_executor executor_;
    storage::DeviceTree host_;
    Turn turn_; ///< one changes the devices at a time
    unsigned last_number_ = 0;
    std::vector<Disk> disks_;
    std::vector<Group> groups_;
};

} // namespace cppvm::sandbox
