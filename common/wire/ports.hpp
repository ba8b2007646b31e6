#pragma once

#include <cstdint>
#include <string_view>

namespace cppvm::wire {

/// The vsock port that the agent listens on for everything: RPC and stdio streams.
inline constexpr std::uint32_t agent_port = 1024;

/// The host's CID as the guest sees it (VMADDR_CID_HOST, vsock(7)); the only peer it accepts.
inline constexpr std::uint32_t host_cid = 2;

/// Version of everything between host and agent (this folder, proto/cppvm/agent.proto): the two
/// work together if and only if it is the same. Raised by every change that the other side could
/// misread.
inline constexpr std::uint32_t protocol_version = 9;

/// Where the guest mounts the pod's two virtiofs exports, with their tags: root file systems, of
/// which only the guest changes anything, and volumes, which the host changes too. Both hold what
/// the host attaches under a number (host/storage/share_namespace.hpp).
inline constexpr const char* guest_share_path = "/run/cppvm/share";
inline constexpr const char* roots_tag = "cppvm-roots";
inline constexpr const char* guest_roots_path = "/run/cppvm/share/roots";
inline constexpr const char* volumes_tag = "cppvm-volumes";
inline constexpr const char* guest_volumes_path = "/run/cppvm/share/volumes";
/// The same below the place of the share.
inline constexpr const char* volumes_directory = "volumes";

/// Where the guest mounts root file systems that are disks of its own, each under its disk's serial
/// number.
inline constexpr const char* guest_disks_path = "/run/cppvm/share/disks";
/// The same below the place of the share.
inline constexpr const char* disks_directory = "disks";

/// Where the agent listens in the place of sockets of the host's, by their numbers
/// (CreateContainerRequest.sockets): what containers bind-mount then.
inline constexpr const char* guest_sockets_path = "/run/cppvm/share/sockets";
/// The same below the place of the share.
inline constexpr const char* sockets_directory = "sockets";

/// The file system of POSIX shared memory that containers of a pod have in common, as
/// ConfigurePodRequest asked for it.
inline constexpr const char* guest_shm_path = "/run/cppvm/share/shm";
/// The same below the place of the share.
inline constexpr const char* shm_directory = "shm";

/// Type of a bind mount of one of them over a socket in a directory that is mounted: only if that
/// is still there, or the mount would leave a file of this name in the host's directory.
inline constexpr const char* socket_mount_type = "cppvm-socket";

/// Type of a mount whose source is a character device of the host: `source` is its number ("1:3"),
/// and the guest binds a node of that number.
inline constexpr const char* device_mount_type = "cppvm-device";

/// How the path of a namespace in a spec begins that is another container's of the same machine:
/// then comes that container's id.
inline constexpr std::string_view container_prefix = "container:";

/// The path of a pid namespace in a spec that is the pod's own, which no container has begun.
inline constexpr std::string_view pod_namespace = "pod";

/// Kernel command line: the host's port for hello. Absent: the agent waits to be dialled.
inline constexpr const char* boot_port_key = "cppvm.boot_port";
/// Kernel command line: "1" powers the machine off as soon as the agent would be ready. For
/// measuring a bare boot.
inline constexpr const char* power_off_key = "cppvm.poweroff";
/// Kernel command line: level of the agent's log on the console (trace, debug, info, warn, error).
inline constexpr const char* log_level_key = "cppvm.log";

/// Largest Hello message that the host reads. The guest is untrusted.
inline constexpr std::uint32_t max_hello_bytes = 64 * 1024;

} // namespace cppvm::wire
