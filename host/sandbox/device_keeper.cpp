#include "host/sandbox/device_keeper.hpp"

#include "common/base/error.hpp"
#include "common/os/device_text.hpp"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace cppvm::sandbox {

namespace {

// Nothing tells when a group is closed.
constexpr std::chrono::milliseconds close_check_interval{20};

std::string name_of(const storage::DiskSpec& spec) {
    return spec.device == 0 ? spec.image.native() : "block device " + device_text(spec.device);
}

std::vector<std::string> guest_addresses(const std::vector<vm::PciDevice>& devices) {
    std::vector<std::string> addresses;
    addresses.reserve(devices.size());
    for (const vm::PciDevice& device : devices) {
        addresses.push_back(vm::guest_address_of_port(device.port));
    }
    return addresses;
}

/// Whether nobody but the container has it.
bool is_only_user(const std::set<std::string>& users, const std::string& container_id) {
    return users.contains(container_id) && users.size() == 1;
}

} // namespace

DeviceKeeper::DeviceKeeper(const asio::any_io_executor& executor, storage::DeviceTree host)
    : executor_(executor), host_(std::move(host)), turn_(executor) {}

DeviceKeeper::Disk* DeviceKeeper::find(dev_t device) noexcept {
    const auto found = std::ranges::find_if(disks_, [device](const Disk& disk) {
        return disk.source.device() == device;
    });
    return found == disks_.end() ? nullptr : &*found;
}

DeviceKeeper::Group* DeviceKeeper::find_group(unsigned number) noexcept {
    const auto found = std::ranges::find(groups_, number, &Group::number);
    return found == groups_.end() ? nullptr : &*found;
}

void DeviceKeeper::require_room() const {
    if (disks_.size() >= max_disks) {
        throw Error(
            Code::resource_exhausted,
            "the pod has " + std::to_string(max_disks) + " disks already, and no more places"
        );
    }
}

unsigned DeviceKeeper::take_port(unsigned ports) const {
    if (ports == 0) {
        throw Error(
            Code::failed_precondition,
            "the machine has no ports for hardware, because no device of the host was bound to "
            "vfio-pci when it started; recreate the pod"
        );
    }
    for (unsigned port = 0; port < ports; ++port) {
        const bool taken = std::ranges::any_of(groups_, [port](const Group& group) {
            return std::ranges::find(group.devices, port, &vm::PciDevice::port) !=
                   group.devices.end();
        });
        if (!taken) {
            return port;
        }
    }
    throw Error(
        Code::resource_exhausted,
        "the pod has " + std::to_string(ports) +
            " PCI devices of the host already, and no more places"
    );
}

Awaitable<std::string> DeviceKeeper::add_disk(
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

Awaitable<std::vector<std::string>> DeviceKeeper::add_group(
    vm::VirtualMachine& machine,
    std::string container_id,
    unsigned group,
    unsigned ports,
    Deadline deadline
) {
    const Turn::Held turn = co_await turn_.take();
    try {
        Group* known = find_group(group);
        if (known != nullptr && !known->complete) {
            throw Error(
                Code::unavailable, "another container of the pod has not given it back; try again"
            );
        }
        if (known == nullptr) {
            groups_.push_back({.number = group, .devices = {}, .users = {container_id}});
            known = &groups_.back();
            co_await attach_group(machine, *known, ports, deadline);
        }
        known->users.insert(container_id);
        co_return guest_addresses(known->devices);
    } catch (...) {
        rethrow_with_context("give IOMMU group " + std::to_string(group) + " to the machine");
    }
}

// Nobody else touches the groups until the caller's turn is over.
Awaitable<> DeviceKeeper::attach_group(
    vm::VirtualMachine& machine, Group& group, unsigned ports, Deadline deadline
) {
    for (std::string& address : storage::devices_of_group(host_, group.number)) {
        const vm::PciDevice device{
            "pci-" + std::to_string(++last_number_),
            std::move(address),
            storage::node_of_group(host_, group.number),
            take_port(ports)
        };
        try {
            co_await machine.attach(device, deadline);
        } catch (...) {
            rethrow_with_context("PCI device " + device.address);
        }
        group.devices.push_back(device);
    }
    group.complete = true;
}

// QEMU closes it a moment after libvirt says that the device is gone, when the last of its threads
// has taken note.
Awaitable<> DeviceKeeper::wait_closed(unsigned group, Deadline deadline) {
    asio::steady_timer timer(executor_);
    while (storage::is_group_open(host_, group)) {
        if (std::chrono::steady_clock::now() >= deadline) {
            throw Error(
                Code::deadline_exceeded,
                "QEMU has IOMMU group " + std::to_string(group) + " open still"
            );
        }
        timer.expires_after(close_check_interval);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

Awaitable<>
DeviceKeeper::remove(vm::VirtualMachine& machine, std::string container_id, Deadline deadline) {
    const Turn::Held turn = co_await turn_.take();
    for (auto disk = disks_.begin(); disk != disks_.end();) {
        if (is_only_user(disk->users, container_id)) {
            co_await machine.detach(disk->serial, deadline);
            disk = disks_.erase(disk);
        } else {
            disk->users.erase(container_id);
            ++disk;
        }
    }
    for (auto group = groups_.begin(); group != groups_.end();) {
        if (is_only_user(group->users, container_id)) {
            group->complete = false;
            while (!group->devices.empty()) {
                co_await machine.detach(group->devices.back().name, deadline);
                group->devices.pop_back();
            }
            co_await wait_closed(group->number, deadline);
            group = groups_.erase(group);
        } else {
            group->users.erase(container_id);
            ++group;
        }
    }
}

void DeviceKeeper::forget(const std::string& container_id) {
    const auto had_last = [&](auto& device) {
        return device.users.erase(container_id) != 0 && device.users.empty();
    };
    std::erase_if(disks_, had_last);
    std::erase_if(groups_, had_last);
}

} // namespace cppvm::sandbox
