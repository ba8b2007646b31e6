#include "host/shim/info.hpp"

#include "common/base/build_id.hpp"
#include "proto/containerd/types.pb.h"

#include <string_view>

namespace cppvm::shim {

namespace {

constexpr const char* features_type =
    "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

// The document of the OCI runtime specification's features.md: what the guest's agent does. Left
// out on purpose: idmapped mounts (containerd would hand us host-side id mappings), "rro"
// (Kubernetes would promise recursive read-only mounts), hooks, seccomp, AppArmor, SELinux, Intel
// RDT.
constexpr std::string_view features = R"({
  "ociVersionMin": "1.0.0",
  "ociVersionMax": "1.2.0",
  "mountOptions": [
    "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "lazytime",
    "noatime", "nodev", "nodiratime", "noexec", "nolazytime", "norelatime", "nostrictatime",
    "nosuid", "nosymfollow", "private", "rbind", "relatime", "ro", "rprivate", "rshared", "rslave",
    "runbindable", "rw", "shared", "slave", "strictatime", "suid", "symfollow", "sync", "unbindable"
  ],
  "linux": {
    "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
    "capabilities": [
      "CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_AUDIT_WRITE", "CAP_BLOCK_SUSPEND", "CAP_BPF",
      "CAP_CHECKPOINT_RESTORE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH",
      "CAP_FOWNER", "CAP_FSETID", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_KILL", "CAP_LEASE",
      "CAP_LINUX_IMMUTABLE", "CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_MKNOD", "CAP_NET_ADMIN",
      "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_RAW", "CAP_PERFMON", "CAP_SETFCAP",
      "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYSLOG", "CAP_SYS_ADMIN", "CAP_SYS_BOOT",
      "CAP_SYS_CHROOT", "CAP_SYS_MODULE", "CAP_SYS_NICE", "CAP_SYS_PACCT", "CAP_SYS_PTRACE",
      "CAP_SYS_RAWIO", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_WAKE_ALARM"
    ],
    "cgroup": {"v1": false, "v2": true, "systemd": false, "systemdUser": false, "rdma": false},
    "seccomp": {"enabled": false},
    "apparmor": {"enabled": false},
    "selinux": {"enabled": false},
    "intelRdt": {"enabled": false},
    "mountExtensions": {"idmap": {"enabled": false}}
  }
})";

} // namespace

std::string runtime_info() {
    containerd::types::RuntimeInfo info;
    info.set_name("io.containerd.cppvm.v1");
    info.mutable_version()->set_version(std::string(version()));
    info.mutable_version()->set_revision(std::string(build_id()));
    info.mutable_features()->set_type_url(features_type);
    info.mutable_features()->set_value(std::string(features));
    return info.SerializeAsString();
}

} // namespace cppvm::shim
