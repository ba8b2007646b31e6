#include "host/sandbox/disk_keeper.hpp"

#include "common/base/error.hpp"

#include <algorithm>
#include <sys/sysmacros.h>
#include <utility>

namespace cppvm::sandbox {

namespace {

std::string name_of(const storage::DiskSpec& spec) {
    return spec.device == 0 ? spec.image.native()
                            : "block device " + std::to_string(major(spec.device)) + ":" +
                                  std::to_string(minor(spec.device));
}

} // namespace

DiskKeeper::DiskKeeper(const asio::any_io_executor& executor)
    : executor_(executor), turn_(executor) {}

DiskKeeper::Disk* DiskKeeper::find(dev_t device) noexcept {
    const auto found = std::ranges::find_if(disks_, [device](const Disk& disk) {
        return disk.source.device() == device;
    });
    return found == disks_.end() ? nullptr : &*found;
}

void DiskKeeper::require_room() const {
    if (disks_.size() >= max_disks) {
        throw Error(
            Code::resource_exhausted,
            "the pod has " + std::to_string(max_disks) + " disks already, and no more places"
        );
    }
}

Awaitable<std::string> DiskKeeper::add(
    vm::VirtualMachine& machine, std::string container_id, storage::DiskSpec spec, Deadline deadline
) {
    const Turn::Held turn = co_await turn_.take();
    try {
        Disk* const known = find(spec.device);
        if (known != nullptr) {
            if (spec.exclusive || (known->read_only && !spec.read_only)) {
                throw Error(
                    Code::failed_precondition,
                    spec.exclusive ? "another container of the pod has it"
                                   : "another container of the pod has it read-only"
                );
            }
            known->users.insert(container_id);
            co_return known->serial;
        }
        require_room();
        storage::DiskSource source = co_await storage::open_disk(executor_, spec, deadline);
        const std::string serial = "cppvm-" + std::to_string(++last_number_);
        co_await machine.attach(vm::Disk{serial, source.device(), spec.read_only}, deadline);
        disks_.push_back({serial, spec.read_only, std::move(source), {container_id}});
        co_return serial;
    } catch (...) {
        rethrow_with_context("give " + name_of(spec) + " to the machine");
    }
}

Awaitable<>
DiskKeeper::remove(vm::VirtualMachine& machine, std::string container_id, Deadline deadline) {
    const Turn::Held turn = co_await turn_.take();
    for (auto disk = disks_.begin(); disk != disks_.end();) {
        if (disk->users.contains(container_id) && disk->users.size() == 1) {
            co_await machine.detach(disk->serial, deadline);
            disk = disks_.erase(disk);
        } else {
            disk->users.erase(container_id);
            ++disk;
        }
    }
}

void DiskKeeper::forget(const std::string& container_id) {
    std::erase_if(disks_, [&](Disk& disk) {
        return disk.users.erase(container_id) != 0 && disk.users.empty();
    });
}

} // namespace cppvm::sandbox
