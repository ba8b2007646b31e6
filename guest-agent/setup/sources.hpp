#pragma once

#include "guest-agent/setup/device_nodes.hpp"
#include "guest-agent/setup/launch.hpp"

#include <map>
#include <memory>
#include <string>

namespace cppvm::guest {

/// What of a container's file system view only the machine's root can open or make. `mount` is a
/// place in the spec's list of mounts. All throw Error naming the object.
class Sources {
  public:
    Sources() = default;
    Sources(const Sources&) = delete;
    Sources& operator=(const Sources&) = delete;
    virtual ~Sources() = default;

    /// root.path on the share (O_PATH), in the container's mount namespace.
    virtual UniqueFd open_root() = 0;
    /// A detached copy of a bind mount's source on the share, recursive if the mount is.
    virtual UniqueFd clone_source(std::size_t mount) = 0;
    /// A detached mount of a file system of the machine (file_systems.hpp).
    virtual UniqueFd make_file_system(std::size_t mount) = 0;
    /// A detached mount of a device node. Once the root is attached at the place of `open_root`.
    virtual UniqueFd make_node(const NodeSpec& node, const std::string& name) = 0;
    /// Nothing more is asked for: undoes what only served to make it. Before pivot_root.
    virtual void finish() = 0;
};

/// By a process that is the machine's root itself. The owners of nodes are ids of the container.
/// Borrows: the launch.
class DirectSources : public Sources {
  public:
    explicit DirectSources(const InitLaunch& launch) : launch_(launch) {}

    /// Copies the sources of mounts that get mounts from others, or give them, while they are still
    /// peers of the agent's (SharedMounts). Before `attach_rootfs`.
    void clone_peers();

    UniqueFd open_root() override;
    UniqueFd clone_source(std::size_t mount) override;
    UniqueFd make_file_system(std::size_t mount) override;
    UniqueFd make_node(const NodeSpec& node, const std::string& name) override;
    void finish() override { nodes_.reset(); }

  private:
    UniqueFd make_clone(std::size_t mount) const;

    const InitLaunch& launch_;
    UniqueFd place_;                        ///< of the root
    std::map<std::size_t, UniqueFd> peers_; ///< by mount
    std::unique_ptr<DeviceNodes> nodes_;
};

/// By a helper that `lend_sources` runs in, at the other end of a socket. Owns: the socket.
class BorrowedSources : public Sources {
  public:
    /// Tells the helper that all namespaces are there, and waits until it is in them. Throws: Error
    /// with what it has failed with.
    explicit BorrowedSources(UniqueFd socket);

    UniqueFd open_root() override;
    UniqueFd clone_source(std::size_t mount) override;
    UniqueFd make_file_system(std::size_t mount) override;
    UniqueFd make_node(const NodeSpec& node, const std::string& name) override;
    /// Waits for the helper's end.
    void finish() override;

  private:
    UniqueFd socket_;
};

/// Answers a BorrowedSources until it has finished, or is gone. A failure is told to it.
/// Borrows: the socket.
void lend_sources(int socket, Sources& sources);

} // namespace cppvm::guest
