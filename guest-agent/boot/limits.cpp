#include "guest-agent/boot/limits.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <array>
#include <cerrno>
#include <string>
#include <sys/resource.h>

namespace cppvm::guest {

namespace {

// "16 GiB": what Linux derives from that much memory, rounded to what it is on such hosts.
// "systemd": what it sets at start (src/core/main.c, sysctl.d/). "kubelet": what it sets on a node
// (pkg/kubelet/cm/container_manager_linux.go). "ceiling": the kernel's own upper bound.
constexpr std::array limits{
    // Processes.
    MachineLimit{"kernel/threads-max", "127000"}, // 16 GiB
    MachineLimit{"kernel/pid_max", "4194304"},    // systemd, ceiling
    // Files.
    MachineLimit{"fs/nr_open", "1073741816"},               // systemd
    MachineLimit{"fs/file-max", "9223372036854775807"},     // systemd
    MachineLimit{"fs/inotify/max_user_watches", "1048576"}, // ceiling of the derived value
    MachineLimit{"fs/fanotify/max_user_marks", "1048576"},  // ceiling of the derived value
    MachineLimit{"fs/epoll/max_user_watches", "3600000"},   // 16 GiB
    // Memory: reserving more than there is must not fail in a small machine where it would not on
    // a large one; kubelet.
    MachineLimit{"vm/overcommit_memory", "1"},
    MachineLimit{"vm/max_map_count", "1048576"}, // systemd 256
    // Namespaces of one user: half of threads-max with 16 GiB.
    MachineLimit{"user/max_cgroup_namespaces", "63500"},
    MachineLimit{"user/max_ipc_namespaces", "63500"},
    MachineLimit{"user/max_mnt_namespaces", "63500"},
    MachineLimit{"user/max_net_namespaces", "63500"},
    MachineLimit{"user/max_pid_namespaces", "63500"},
    MachineLimit{"user/max_time_namespaces", "63500"},
    MachineLimit{"user/max_user_namespaces", "63500"},
    MachineLimit{"user/max_uts_namespaces", "63500"},
    // Network, 16 GiB. New network namespaces take the first four from here.
    MachineLimit{"net/ipv4/tcp_rmem", "4096 131072 6291456"},
    MachineLimit{"net/ipv4/tcp_wmem", "4096 16384 4194304"},
    MachineLimit{"net/ipv4/tcp_max_syn_backlog", "1024"},
    MachineLimit{"net/ipv4/tcp_max_tw_buckets", "65536"},
    MachineLimit{"net/ipv4/tcp_max_orphans", "65536"},
    MachineLimit{"net/netfilter/nf_conntrack_max", "262144"},
    // No limits, but what every host sets: Debian's procps and systemd.
    MachineLimit{"fs/protected_fifos", "1"},
    MachineLimit{"fs/protected_hardlinks", "1"},
    MachineLimit{"fs/protected_regular", "2"},
    MachineLimit{"fs/protected_symlinks", "1"},
};

struct InheritedLimit {
    __rlimit_resource resource;
    const char* name;
    rlim_t soft;
    rlim_t hard;
};

// What containerd's service file gives containers (LimitNPROC, LimitCORE, LimitNOFILE), and of the
// other derived one what 16 GiB give. The soft number of descriptors becomes the usual one in each
// child (setup/process_setup.cpp): the agent needs room for many containers' streams.
constexpr rlim_t descriptors = 1024UL * 1024;
constexpr std::array inherited{
    InheritedLimit{RLIMIT_NOFILE, "RLIMIT_NOFILE", descriptors, descriptors},
    InheritedLimit{RLIMIT_NPROC, "RLIMIT_NPROC", RLIM_INFINITY, RLIM_INFINITY},
    InheritedLimit{RLIMIT_CORE, "RLIMIT_CORE", RLIM_INFINITY, RLIM_INFINITY},
    InheritedLimit{RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING", 63500, 63500},
};

} // namespace

std::span<const MachineLimit> machine_limits() noexcept {
    return limits;
}

void apply_machine_limits(const Logger& logger) {
    for (const MachineLimit& limit : limits) {
        try {
            write_control_file(std::string("/proc/sys/") + limit.path, limit.value);
        } catch (const Error& error) {
            if (error.cause().value() != ENOENT) {
                logger.warn("Limit of the machine not set", {{"error", error.message()}});
            }
        }
    }
    for (const InheritedLimit& limit : inherited) {
        const rlimit value{limit.soft, limit.hard};
        if (::setrlimit(limit.resource, &value) != 0) {
            logger.warn("Limit of processes not set", {{"limit", limit.name}, {"errno", errno}});
        }
    }
}

} // namespace cppvm::guest
