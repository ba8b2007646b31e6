#pragma once

#include "common/oci/json_path.hpp"
#include "common/oci/spec.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

// The tables behind reading and writing: for each struct of the OCI spec its members, under which
// key each is, and what holds for it besides its type.

/// Private to common/oci.
namespace cppvm::oci::detail {

enum class Presence { optional, required };

/// One member of a struct.
template <class Struct, class T>
struct Field {
    const char* key;
    T Struct::* member;
    Presence presence = Presence::optional;
    /// Throws for a value that is there and breaks a rule. Null: there is none.
    void (*check)(const T& value, const JsonPath& path) = nullptr;
};

template <class Struct, class T>
Field(const char*, T Struct::*) -> Field<Struct, T>;
template <class Struct, class T>
Field(const char*, T Struct::*, Presence) -> Field<Struct, T>;
template <class Struct, class T>
Field(const char*, T Struct::*, Presence, void (*)(const T&, const JsonPath&)) -> Field<Struct, T>;

void check_version(const std::string& version, const JsonPath& path);
void check_arguments(const std::vector<std::string>& args, const JsonPath& path);
void check_absolute(const std::string& value, const JsonPath& path);
void check_destination(const std::string& value, const JsonPath& path);
void check_all_absolute(const std::vector<std::string>& values, const JsonPath& path);
void check_device_type(const std::string& type, const JsonPath& path);
void check_umask(const std::optional<std::uint32_t>& umask, const JsonPath& path);
void check_timeout(const std::optional<int>& timeout, const JsonPath& path);
void check_mappings(const std::vector<IdMapping>& mappings, const JsonPath& path);
void check_oom_score(const std::optional<int>& score, const JsonPath& path);

/// In the order in which they are written.
template <class Struct>
inline constexpr auto fields = nullptr;

template <>
inline constexpr auto fields<Root> =
    std::tuple(Field("path", &Root::path, Presence::required), Field("readonly", &Root::readonly));

template <>
inline constexpr auto fields<User> = std::tuple(
    Field("uid", &User::uid),
    Field("gid", &User::gid),
    Field("umask", &User::umask, Presence::optional, check_umask),
    Field("additionalGids", &User::additional_gids)
);

template <>
inline constexpr auto fields<ConsoleSize> = std::tuple(
    Field("height", &ConsoleSize::height, Presence::required),
    Field("width", &ConsoleSize::width, Presence::required)
);

template <>
inline constexpr auto fields<Capabilities> = std::tuple(
    Field("bounding", &Capabilities::bounding),
    Field("effective", &Capabilities::effective),
    Field("inheritable", &Capabilities::inheritable),
    Field("permitted", &Capabilities::permitted),
    Field("ambient", &Capabilities::ambient)
);

template <>
inline constexpr auto fields<Rlimit> = std::tuple(
    Field("type", &Rlimit::type, Presence::required),
    Field("soft", &Rlimit::soft, Presence::required),
    Field("hard", &Rlimit::hard, Presence::required)
);

template <>
inline constexpr auto fields<IoPriority> = std::tuple(
    Field("class", &IoPriority::io_class, Presence::required),
    Field("priority", &IoPriority::priority)
);

template <>
inline constexpr auto fields<Scheduler> = std::tuple(
    Field("policy", &Scheduler::policy, Presence::required),
    Field("nice", &Scheduler::nice),
    Field("priority", &Scheduler::priority),
    Field("flags", &Scheduler::flags),
    Field("runtime", &Scheduler::runtime),
    Field("deadline", &Scheduler::deadline),
    Field("period", &Scheduler::period)
);

template <>
inline constexpr auto fields<Process> = std::tuple(
    Field("terminal", &Process::terminal),
    Field("consoleSize", &Process::console_size),
    Field("user", &Process::user),
    Field("args", &Process::args, Presence::required, check_arguments),
    Field("env", &Process::env),
    Field("cwd", &Process::cwd, Presence::required, check_absolute),
    Field("capabilities", &Process::capabilities),
    Field("rlimits", &Process::rlimits),
    Field("noNewPrivileges", &Process::no_new_privileges),
    Field("oomScoreAdj", &Process::oom_score_adj, Presence::optional, check_oom_score),
    Field("ioPriority", &Process::io_priority),
    Field("scheduler", &Process::scheduler)
);

template <>
inline constexpr auto fields<IdMapping> = std::tuple(
    Field("containerID", &IdMapping::container_id),
    Field("hostID", &IdMapping::host_id),
    Field("size", &IdMapping::size, Presence::required)
);

template <>
inline constexpr auto fields<Mount> = std::tuple(
    Field("destination", &Mount::destination, Presence::required, check_destination),
    Field("type", &Mount::type),
    Field("source", &Mount::source),
    Field("options", &Mount::options),
    Field("uidMappings", &Mount::uid_mappings, Presence::optional, check_mappings),
    Field("gidMappings", &Mount::gid_mappings, Presence::optional, check_mappings)
);

template <>
inline constexpr auto fields<Namespace> = std::tuple(
    Field("type", &Namespace::type, Presence::required), Field("path", &Namespace::path)
);

template <>
inline constexpr auto fields<Device> = std::tuple(
    Field("path", &Device::path, Presence::required, check_absolute),
    Field("type", &Device::type, Presence::required, check_device_type),
    Field("major", &Device::major),
    Field("minor", &Device::minor),
    Field("fileMode", &Device::file_mode),
    Field("uid", &Device::uid),
    Field("gid", &Device::gid)
);

template <>
inline constexpr auto fields<MemoryResources> = std::tuple(
    Field("limit", &MemoryResources::limit),
    Field("reservation", &MemoryResources::reservation),
    Field("swap", &MemoryResources::swap),
    Field("useHierarchy", &MemoryResources::use_hierarchy),
    Field("checkBeforeUpdate", &MemoryResources::check_before_update)
);

template <>
inline constexpr auto fields<CpuResources> = std::tuple(
    Field("shares", &CpuResources::shares),
    Field("quota", &CpuResources::quota),
    Field("period", &CpuResources::period),
    Field("burst", &CpuResources::burst),
    Field("idle", &CpuResources::idle),
    Field("cpus", &CpuResources::cpus),
    Field("mems", &CpuResources::mems)
);

template <>
inline constexpr auto fields<PidsResources> = std::tuple(Field("limit", &PidsResources::limit));

template <>
inline constexpr auto fields<HugepageLimit> = std::tuple(
    Field("pageSize", &HugepageLimit::page_size, Presence::required),
    Field("limit", &HugepageLimit::limit, Presence::required)
);

template <>
inline constexpr auto fields<DeviceRule> = std::tuple(
    Field("allow", &DeviceRule::allow),
    Field("type", &DeviceRule::type),
    Field("major", &DeviceRule::major),
    Field("minor", &DeviceRule::minor),
    Field("access", &DeviceRule::access)
);

template <>
inline constexpr auto fields<Resources> = std::tuple(
    Field("devices", &Resources::devices),
    Field("memory", &Resources::memory),
    Field("cpu", &Resources::cpu),
    Field("pids", &Resources::pids),
    Field("hugepageLimits", &Resources::hugepage_limits),
    Field("unified", &Resources::unified)
);

template <>
inline constexpr auto fields<SeccompArgument> = std::tuple(
    Field("index", &SeccompArgument::index),
    Field("value", &SeccompArgument::value),
    Field("valueTwo", &SeccompArgument::value_two),
    Field("op", &SeccompArgument::op, Presence::required)
);

template <>
inline constexpr auto fields<SeccompRule> = std::tuple(
    Field("names", &SeccompRule::names, Presence::required),
    Field("action", &SeccompRule::action, Presence::required),
    Field("errnoRet", &SeccompRule::errno_ret),
    Field("args", &SeccompRule::args)
);

template <>
inline constexpr auto fields<Seccomp> = std::tuple(
    Field("defaultAction", &Seccomp::default_action, Presence::required),
    Field("defaultErrnoRet", &Seccomp::default_errno_ret),
    Field("architectures", &Seccomp::architectures),
    Field("flags", &Seccomp::flags),
    Field("syscalls", &Seccomp::syscalls)
);

template <>
inline constexpr auto fields<Personality> =
    std::tuple(Field("domain", &Personality::domain, Presence::required));

template <>
inline constexpr auto fields<TimeOffset> =
    std::tuple(Field("secs", &TimeOffset::secs), Field("nanosecs", &TimeOffset::nanosecs));

template <>
inline constexpr auto fields<Linux> = std::tuple(
    Field("namespaces", &Linux::namespaces),
    Field("timeOffsets", &Linux::time_offsets),
    Field("uidMappings", &Linux::uid_mappings, Presence::optional, check_mappings),
    Field("gidMappings", &Linux::gid_mappings, Presence::optional, check_mappings),
    Field("devices", &Linux::devices),
    Field("sysctl", &Linux::sysctl),
    Field("maskedPaths", &Linux::masked_paths, Presence::optional, check_all_absolute),
    Field("readonlyPaths", &Linux::readonly_paths, Presence::optional, check_all_absolute),
    Field("rootfsPropagation", &Linux::rootfs_propagation),
    Field("cgroupsPath", &Linux::cgroups_path),
    Field("resources", &Linux::resources),
    Field("seccomp", &Linux::seccomp),
    Field("personality", &Linux::personality)
);

template <>
inline constexpr auto fields<Hook> = std::tuple(
    Field("path", &Hook::path, Presence::required, check_absolute),
    Field("args", &Hook::args),
    Field("env", &Hook::env),
    Field("timeout", &Hook::timeout, Presence::optional, check_timeout)
);

template <>
inline constexpr auto fields<Hooks> = std::tuple(
    Field("prestart", &Hooks::prestart),
    Field("createRuntime", &Hooks::create_runtime),
    Field("createContainer", &Hooks::create_container),
    Field("startContainer", &Hooks::start_container),
    Field("poststart", &Hooks::poststart),
    Field("poststop", &Hooks::poststop)
);

template <>
inline constexpr auto fields<Spec> = std::tuple(
    Field("ociVersion", &Spec::oci_version, Presence::required, check_version),
    Field("root", &Spec::root, Presence::required),
    Field("process", &Spec::process, Presence::required),
    Field("hostname", &Spec::hostname),
    Field("domainname", &Spec::domainname),
    Field("mounts", &Spec::mounts),
    Field("hooks", &Spec::hooks),
    Field("annotations", &Spec::annotations),
    Field("linux", &Spec::linux_part)
);

} // namespace cppvm::oci::detail
