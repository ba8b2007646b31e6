#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"

#include <filesystem>
#include <sys/types.h>

namespace cppvm::storage {

/// What of the host becomes a disk of the machine. Plain data.
struct DiskSpec {
    dev_t device = 0;                 ///< a block device; 0: `image` becomes a loop device
    std::filesystem::path image = {}; ///< a file
    bool read_only = false;
    /// Nobody else on the host may mount it meanwhile.
    bool exclusive = false;

    friend bool operator==(const DiskSpec&, const DiskSpec&) = default;
};

/// A block device, held open, so that its number cannot become another's. A loop device goes with
/// its last user.
class DiskSource {
  public:
    /// Throws: Error that names the device: it is not there, or in use.
    DiskSource(dev_t device, bool read_only, bool exclusive);

    dev_t device() const noexcept { return device_; }

  private:
    UniqueFd fd_;
    dev_t device_;
};

/// Opens a disk's source. A file that does not answer is given up at the deadline. Throws: Error.
/// Cancels: nothing is left.
Awaitable<DiskSource>
open_disk(const asio::any_io_executor& executor, DiskSpec spec, Deadline deadline);

} // namespace cppvm::storage
