#pragma once

#include "common/async/turn.hpp"
#include "common/base/unique_fd.hpp"
#include "common/log/logger.hpp"
#include "host/storage/container_view.hpp"
#include "host/storage/share_servers.hpp"
#include "host/storage/share_work.hpp"

#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace cppvm::storage {

/// Where the guest finds them: paths below the place of each share in the guest.
struct SharedNames {
    std::string rootfs;               ///< below that of the root file systems
    std::vector<std::string> volumes; ///< below that of the volumes, in the order of the request
    /// The root file system's path on the host, if it is watched (ContainerStorage::root_watch).
    std::filesystem::path watched_root = {};
    /// What is mounted below volumes that are mounted in another way (VolumeSpec::differs_below),
    /// outer mounts first; below the place of the volumes, too.
    std::vector<std::string> submounts = {};
};

/// What the pod's virtiofs servers export (docs/adr, "The share has mount namespaces of its own").
///
/// Each server has a mount namespace in which there is nothing but its share, an empty read-only
/// tmpfs; containers' mounts are put there, and nowhere on the host. So nothing of the host is
/// pinned by them, no path in them leads to the host, and they vanish with the servers. Sources are
/// opened in the host's namespace, by a process of their own that is given up at the deadline.
///
/// One source is shown once to the whole pod, however many containers have it: the guest sees one
/// inode. While all who have it want it read-only, it is read-only on the host.
///
/// A fifo or device among the volumes is only a name in the guest: nothing on the host is behind it
/// there (virtiofs carries files). It is bound all the same, with a warning, because containers
/// often have such a volume without using it. A socket is refused: nothing would ever answer a
/// connection to it, and there is a way to open it (host/sockets).
///
/// Thread: the loop's only.
class Share {
  public:
    /// Makes `directory` (its parent exists), which stays empty: each server mounts its share over
    /// it, in its own namespace. Throws: Error; nothing is left then.
    Share(
        const asio::any_io_executor& executor, const std::filesystem::path& directory, Logger logger
    );
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    /// As `close`.
    ~Share();

    /// Once the servers have set up their namespaces, which they have when QEMU runs. Throws:
    /// Error.
    void open(const ShareServers& servers);

    /// Mounts a container's root file system and volumes. On failure nothing of it is left. Mounts
    /// below volumes that do not answer soon, or are too many, are left out of the names, with a
    /// warning.
    /// Throws: Error naming the container and the volume: a source that does not exist or does not
    /// answer by the deadline, a mount that the kernel refuses, an id that is in use.
    /// Cancels: not to be cancelled.
    Awaitable<SharedNames> add_container(ContainerStorage storage, Deadline deadline);

    /// Detaches a container's root file system and the volumes that no other container has; never
    /// touches a file. What is not there is not an error. Throws: Error naming what stays.
    Awaitable<> remove_container(std::string container_id, Deadline deadline);

    /// A mount namespace with the files of a container that was added, for a process of the host
    /// that stands for one of the container's (container_view.hpp). Whoever holds it holds the
    /// container's mounts. Throws: Error. Cancels: not to be cancelled.
    Awaitable<UniqueFd>
    open_view(std::string container_id, ContainerView view, Deadline deadline) const;

    /// The mount namespace of the volumes, for as long as the share is open; else -1.
    int volumes_namespace() const noexcept { return volumes_.get(); }

    /// Gives up what `add_container` is waiting for: it throws at once.
    void stop() noexcept;

    /// Lets go of the namespaces, which end with the servers, and removes the directory.
    /// Idempotent; a failure is logged.
    void close() noexcept;

  private:
    Awaitable<std::vector<std::string>> receive_submounts(ForkedChild& child);
    Awaitable<> undo_add(const std::string& id);
    Awaitable<> detach(const std::string& id, Deadline deadline);
    ShareNamespaces namespaces() const noexcept { return {roots_.get(), volumes_.get()}; }
    void review_special_files(
        const ContainerStorage& storage, const std::vector<SourceInfo>& sources
    ) const;

    asio::any_io_executor executor_;
    std::filesystem::path directory_;
    Logger logger_;
    UniqueFd roots_; // the servers' mount namespaces
    UniqueFd volumes_;
    VolumeTable table_;
    Turn turn_; // one changes the namespaces at a time
    std::set<ForkedChild*> adding_;
    bool stopped_ = false;
};

/// Removes the directory of a Share whose process was killed; its mounts went with its servers.
/// A missing path is not an error. Throws: Error.
void remove_share_directory(const std::filesystem::path& directory);

} // namespace cppvm::storage
