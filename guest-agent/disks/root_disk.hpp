#pragma once

#include "common/async/asio.hpp"
#include "guest-agent/disks/disk.hpp"

#include <filesystem>
#include <string>

namespace cppvm::guest {

/// A container's root file system on a disk, or on a disk and the layers of its image, mounted in
/// the agent's own mount namespace, of which the container's becomes a copy: a container in a user
/// namespace of its own may not mount a disk. Owns: the mount and its directory. `close` must have
/// been awaited before the destructor.
class RootDisk {
  public:
    /// `place`: a directory that is made for it; its parent is made, too. Blocks, while the file
    /// system recovers what was written last. Throws: Error with the file system's own words.
    RootDisk(const DiskRequest::Root& request, const Disk& disk, std::filesystem::path place);
    RootDisk(const RootDisk&) = delete;
    RootDisk& operator=(const RootDisk&) = delete;
    ~RootDisk();

    /// Unmounts it, when no process of the container is left, and waits until the kernel has
    /// written everything and let go of the disk. Throws: Error (deadline_exceeded).
    Awaitable<> close(Deadline deadline);

  private:
    void mount(const DiskRequest::Root& request);
    void unmount() noexcept;

    std::filesystem::path disk_;
    std::filesystem::path place_;
};

} // namespace cppvm::guest
