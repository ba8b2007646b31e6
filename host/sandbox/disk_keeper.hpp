#pragma once

#include "common/async/asio.hpp"
#include "common/async/turn.hpp"
#include "host/storage/disk_source.hpp"
#include "host/vm/virtual_machine.hpp"

#include <set>
#include <string>
#include <vector>

namespace cppvm::sandbox {

/// A port of the machine's for each; what they cost is in docs/adr/0018.
inline constexpr unsigned max_disks = 8;

/// The disks that the machine has for its containers. One device of the host is one disk, however
/// many containers of the pod have it, for two would have a cache each.
/// Owns: their sources. The machine is the caller's.
/// Thread: the loop's only.
class DiskKeeper {
  public:
    explicit DiskKeeper(const asio::any_io_executor& executor);

    /// Gives the machine a disk for a container; its serial number, by which the guest finds it.
    /// After a failure the container may have others still.
    /// Throws: Error that names the disk: it cannot be opened, there are too many of them, another
    /// container has it read-only, QEMU refuses it. Cancels: not to be cancelled.
    Awaitable<std::string>
    add(vm::VirtualMachine& machine,
        std::string container_id,
        storage::DiskSpec spec,
        Deadline deadline);

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

    Disk* find(dev_t device) noexcept;
    void require_room() const;

    asio::any_io_executor executor_;
    Turn turn_; ///< one changes the disks at a time
    unsigned last_number_ = 0;
    std::vector<Disk> disks_;
};

} // namespace cppvm::sandbox
