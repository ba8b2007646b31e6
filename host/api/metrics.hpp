#pragma once

#include "proto/containerd/types.pb.h"
#include "proto/cppvm/agent.pb.h"

#include <google/protobuf/any.pb.h>

namespace cppvm::api {

enum class CgroupVersion { v1, v2 };

/// That of the host's /sys/fs/cgroup: what reads the metrics of all containers there expects them
/// in its form.
CgroupVersion cgroup_version_of_host() noexcept;

/// The guest's numbers, of a cgroup of version 2, as containerd's io.containerd.cgroups.v1.Metrics
/// or v2.Metrics. What the guest does not say is 0. Version 1 counts swap together with memory.
google::protobuf::Any to_metrics(const agent::v2::StatsResponse& stats, CgroupVersion version);

} // namespace cppvm::api
