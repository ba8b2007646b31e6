#include "guest-agent/disks/find_pci_device.hpp"

#include "common/async/timeout.hpp"
#include "guest-agent/disks/uevents.hpp"

#include <algorithm>
#include <system_error>

namespace cppvm::guest {

namespace {

/// Its directory has one for each device on the bus below, called by address, besides others of
/// the kernel's ("0000:00:12.0:pcie004", "power").
bool has_device(const std::filesystem::path& port) {
    std::error_code error; // the port's own absence; or its device has just gone
    for (std::filesystem::directory_iterator entry(port, error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename().native();
        if (std::ranges::count(name, ':') == 2 &&
            std::filesystem::exists(entry->path() / "vendor", error)) {
            return true;
        }
    }
    return false;
}

} // namespace

Awaitable<> find_pci_device(std::string port, Deadline deadline, std::filesystem::path devices) {
    const std::filesystem::path directory = devices / port;
    co_await with_timeout(
        look_at_each_uevent([directory] { return has_device(directory); }),
        deadline,
        "wait for the PCI device below " + port
    );
}

} // namespace cppvm::guest
