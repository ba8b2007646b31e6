#pragma once

namespace cppvm::oci {

// Every member that is known, with a value that is not the default.
inline constexpr const char* whole_spec = R"({
        "ociVersion": "1.2.0",
        "root": {"path": "/share/rootfs", "readonly": true},
        "hostname": "h", "domainname": "example",
        "process": {
            "terminal": true, "consoleSize": {"height": 25, "width": 80},
            "user": {"uid": 7, "gid": 8, "umask": 63, "additionalGids": [1, 2]},
            "args": ["a", "b"], "env": ["X=1"], "cwd": "/w",
            "capabilities": {
                "bounding": ["CAP_KILL"], "effective": ["CAP_FOWNER"],
                "inheritable": ["CAP_SETUID"], "permitted": ["CAP_SETGID"],
                "ambient": ["CAP_CHOWN"]
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 18446744073709551615}],
            "noNewPrivileges": true, "oomScoreAdj": -999,
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
            "scheduler": {
                "policy": "SCHED_DEADLINE", "nice": -3, "priority": 5,
                "flags": ["SCHED_FLAG_RECLAIM"], "runtime": 1, "deadline": 2, "period": 3
            }
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["ro"],
             "uidMappings": [{"containerID": 1, "hostID": 2, "size": 3}],
             "gidMappings": [{"containerID": 4, "hostID": 5, "size": 6}]}
        ],
        "hooks": {
            "prestart": [{"path": "/1", "args": ["a"], "env": ["A=b"], "timeout": 1}],
            "createRuntime": [{"path": "/2", "args": ["a"], "env": ["A=b"], "timeout": 2}],
            "createContainer": [{"path": "/3", "args": ["a"], "env": ["A=b"], "timeout": 3}],
            "startContainer": [{"path": "/4", "args": ["a"], "env": ["A=b"], "timeout": 4}],
            "poststart": [{"path": "/5", "args": ["a"], "env": ["A=b"], "timeout": 5}],
            "poststop": [{"path": "/6", "args": ["a"], "env": ["A=b"], "timeout": 6}]
        },
        "annotations": {"a.b": "c"},
        "linux": {
            "namespaces": [{"type": "network", "path": "/p"}, {"type": "pid"}],
            "timeOffsets": {"boottime": {"secs": -4, "nanosecs": 5}},
            "uidMappings": [{"containerID": 1, "hostID": 1000, "size": 5}],
            "gidMappings": [{"containerID": 2, "hostID": 2000, "size": 6}],
            "devices": [
                {"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438,
                 "uid": 9, "gid": 10}
            ],
            "sysctl": {"net.ipv4.ip_forward": "1"},
            "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
            "rootfsPropagation": "rslave", "cgroupsPath": "/x",
            "resources": {
                "devices": [
                    {"allow": true, "type": "c", "major": 1, "minor": 2, "access": "rw"}
                ],
                "memory": {
                    "limit": 1, "reservation": 2, "swap": -1, "useHierarchy": true,
                    "checkBeforeUpdate": true
                },
                "cpu": {
                    "shares": 3, "quota": -1, "period": 4, "burst": 5, "idle": 1, "cpus": "0-1",
                    "mems": "0"
                },
                "pids": {"limit": 5},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 6}],
                "unified": {"memory.high": "max"}
            },
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
                "architectures": ["SCMP_ARCH_X86_64"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "syscalls": [
                    {"names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1,
                     "args": [{"index": 1, "value": 2, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]}
                ]
            },
            "personality": {"domain": "LINUX32"}
        }
    })";

} // namespace cppvm::oci
