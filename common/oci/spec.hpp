#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// The OCI runtime spec's config.json as plain data: what its text says, with nothing decided yet.
/// Names and meanings are those of https://github.com/opencontainers/runtime-spec (config.md,
/// config-linux.md). Members that are not here are reported by the parser as unsupported.
namespace cppvm::oci {

struct Root {
    std::string path;
    bool readonly = false;

    friend bool operator==(const Root&, const Root&) = default;
};

struct User {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::optional<std::uint32_t> umask;
    std::vector<std::uint32_t> additional_gids;

    friend bool operator==(const User&, const User&) = default;
};

struct ConsoleSize {
    std::uint32_t height = 0;
    std::uint32_t width = 0;

    friend bool operator==(const ConsoleSize&, const ConsoleSize&) = default;
};

/// Names such as "CAP_CHOWN", as they were written.
struct Capabilities {
    std::vector<std::string> bounding;
    std::vector<std::string> effective;
    std::vector<std::string> inheritable;
    std::vector<std::string> permitted;
    std::vector<std::string> ambient;

    friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

struct Rlimit {
    std::string type; ///< "RLIMIT_NOFILE"
    std::uint64_t soft = 0;
    std::uint64_t hard = 0;

    friend bool operator==(const Rlimit&, const Rlimit&) = default;
};

struct IoPriority {
    std::string io_class; ///< "IOPRIO_CLASS_BE"
    std::int32_t priority = 0;

    friend bool operator==(const IoPriority&, const IoPriority&) = default;
};

/// sched_setattr(2).
struct Scheduler {
    std::string policy; ///< "SCHED_BATCH"
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::vector<std::string> flags; ///< "SCHED_FLAG_RESET_ON_FORK"
    std::uint64_t runtime = 0;      ///< ns, as the two below
    std::uint64_t deadline = 0;
    std::uint64_t period = 0;

    friend bool operator==(const Scheduler&, const Scheduler&) = default;
};

struct Process {
    bool terminal = false;
    std::optional<ConsoleSize> console_size;
    User user;
    std::vector<std::string> args;            ///< not empty
    std::vector<std::string> env;             ///< "K=V"
    std::string cwd;                          ///< absolute
    std::optional<Capabilities> capabilities; ///< nothing: no capability at all
    std::vector<Rlimit> rlimits;
    bool no_new_privileges = false;
    std::optional<int> oom_score_adj;
    std::optional<IoPriority> io_priority;
    std::optional<Scheduler> scheduler;

    friend bool operator==(const Process&, const Process&) = default;
};

struct IdMapping {
    std::uint32_t container_id = 0;
    std::uint32_t host_id = 0;
    std::uint32_t size = 0;

    friend auto operator<=>(const IdMapping&, const IdMapping&) = default;
};

struct Mount {
    std::string destination; ///< absolute
    std::string type;
    std::string source;
    std::vector<std::string> options;
    std::vector<IdMapping> uid_mappings{};
    std::vector<IdMapping> gid_mappings{};

    friend bool operator==(const Mount&, const Mount&) = default;
};

struct Namespace {
    std::string type;
    std::string path; ///< empty: a new one

    friend bool operator==(const Namespace&, const Namespace&) = default;
};

struct Device {
    std::string path; ///< absolute
    std::string type; ///< "c", "u", "b" or "p"
    std::int64_t major = 0;
    std::int64_t minor = 0;
    std::optional<std::uint32_t> file_mode;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;

    friend bool operator==(const Device&, const Device&) = default;
};

struct MemoryResources {
    std::optional<std::int64_t> limit{}; ///< bytes; -1: unlimited
    std::optional<std::int64_t> reservation{};
    std::optional<std::int64_t> swap{}; ///< memory and swap together
    bool use_hierarchy = false;         ///< cgroup v2 knows nothing else
    bool check_before_update = false;   ///< no limit below what is in use

    friend bool operator==(const MemoryResources&, const MemoryResources&) = default;
};

struct CpuResources {
    std::optional<std::uint64_t> shares{};
    std::optional<std::int64_t> quota{};   ///< microseconds in each period; <= 0: unlimited
    std::optional<std::uint64_t> period{}; ///< microseconds
    std::optional<std::uint64_t> burst{};
    std::optional<std::int64_t> idle{};
    std::string cpus{};
    std::string mems{};

    friend bool operator==(const CpuResources&, const CpuResources&) = default;
};

struct PidsResources {
    std::optional<std::int64_t> limit{};

    friend bool operator==(const PidsResources&, const PidsResources&) = default;
};

/// For pages of one size.
struct HugepageLimit {
    std::string page_size;   ///< "2MB"
    std::uint64_t limit = 0; ///< bytes

    friend bool operator==(const HugepageLimit&, const HugepageLimit&) = default;
};

/// Whether devices may be opened or made; of several that match, the last one counts.
struct DeviceRule {
    bool allow = false;
    std::string type;                    ///< "a" (or empty): all; "c", "b"
    std::optional<std::int64_t> major{}; ///< nothing or -1: any
    std::optional<std::int64_t> minor{};
    std::string access; ///< of "rwm": read, write, mknod

    friend bool operator==(const DeviceRule&, const DeviceRule&) = default;
};

struct Resources {
    std::vector<DeviceRule> devices{};
    MemoryResources memory;
    CpuResources cpu;
    PidsResources pids;
    std::vector<HugepageLimit> hugepage_limits{};
    std::map<std::string, std::string> unified; ///< cgroup v2 file: text

    friend bool operator==(const Resources&, const Resources&) = default;
};

/// A condition on one argument of a system call.
struct SeccompArgument {
    std::uint32_t index = 0;
    std::uint64_t value = 0;
    std::uint64_t value_two = 0; ///< of SCMP_CMP_MASKED_EQ: what the masked argument must be
    std::string op;              ///< "SCMP_CMP_EQ"

    friend bool operator==(const SeccompArgument&, const SeccompArgument&) = default;
};

/// What is done about system calls of these names.
struct SeccompRule {
    std::vector<std::string> names;
    std::string action; ///< "SCMP_ACT_ERRNO"
    std::optional<std::uint32_t> errno_ret;
    std::vector<SeccompArgument> args;

    friend bool operator==(const SeccompRule&, const SeccompRule&) = default;
};

struct Seccomp {
    std::string default_action;
    std::optional<std::uint32_t> default_errno_ret;
    std::vector<std::string> architectures; ///< "SCMP_ARCH_X86_64"; the machine's own in any case
    std::optional<std::vector<std::string>> flags; ///< "SECCOMP_FILTER_FLAG_LOG"
    std::vector<SeccompRule> syscalls;

    friend bool operator==(const Seccomp&, const Seccomp&) = default;
};

struct Personality {
    std::string domain; ///< "LINUX32"

    friend bool operator==(const Personality&, const Personality&) = default;
};

/// What a clock of a time namespace shows more than the machine's; both parts are added.
struct TimeOffset {
    std::int64_t secs = 0;
    std::uint32_t nanosecs = 0;

    friend bool operator==(const TimeOffset&, const TimeOffset&) = default;
};

struct Linux {
    std::vector<Namespace> namespaces;
    std::map<std::string, TimeOffset> time_offsets; ///< by clock: "monotonic", "boottime"
    std::vector<IdMapping> uid_mappings;
    std::vector<IdMapping> gid_mappings;
    std::vector<Device> devices;
    std::map<std::string, std::string> sysctl;
    std::vector<std::string> masked_paths;
    std::vector<std::string> readonly_paths;
    std::string rootfs_propagation;
    std::string cgroups_path; ///< of the host; meaningless in the guest
    Resources resources;
    std::optional<Seccomp> seccomp;
    std::optional<Personality> personality;

    friend bool operator==(const Linux&, const Linux&) = default;
};

/// A program that is run at a point of the container's life (config.md, "POSIX-platform Hooks").
struct Hook {
    std::string path;
    std::vector<std::string> args; ///< with [0]
    std::vector<std::string> env;  ///< empty: the runtime's
    std::optional<int> timeout;    ///< s

    friend bool operator==(const Hook&, const Hook&) = default;
};

struct Hooks {
    std::vector<Hook> prestart;
    std::vector<Hook> create_runtime;
    std::vector<Hook> create_container; ///< in the container's namespaces, as the next
    std::vector<Hook> start_container;
    std::vector<Hook> poststart;
    std::vector<Hook> poststop;

    friend bool operator==(const Hooks&, const Hooks&) = default;
};

struct Spec {
    std::string oci_version;
    Root root;
    Process process;
    std::string hostname;
    std::string domainname;
    std::vector<Mount> mounts;
    Hooks hooks;
    std::map<std::string, std::string> annotations;
    Linux linux_part;

    friend bool operator==(const Spec&, const Spec&) = default;
};

} // namespace cppvm::oci
