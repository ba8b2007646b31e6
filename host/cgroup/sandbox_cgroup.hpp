#pragma once

#include "host/cgroup/hierarchy.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace cppvm::cgroup {

/// The cgroup of everything that works for a sandbox on the host. This process goes into it, its
/// children are born in it, and QEMU, which is libvirt's child, is moved into it by the helper that
/// has it started (placement.hpp).
///
/// Owns: the cgroup's directories; `leave` removes them.
class SandboxCgroup {
  public:
    /// Makes the cgroup, with those above that are not there yet, and moves this process into it.
    /// The file `record` says where it is to whoever cleans up after a killed owner.
    /// Throws: Error; then this process is where it was and no cgroup of the sandbox is left.
    SandboxCgroup(
        std::filesystem::path location,
        std::vector<Hierarchy> hierarchies,
        std::filesystem::path record
    );
    SandboxCgroup(const SandboxCgroup&) = delete;
    SandboxCgroup& operator=(const SandboxCgroup&) = delete;
    ~SandboxCgroup() = default;

    /// Moves this process, alone, back to where it came from. Does not throw.
    void step_out() noexcept;

    /// Moves this process back to where it came from, and removes the cgroup once it is empty.
    /// Blocks, for two seconds at most. False: something is left. Does not throw.
    bool leave() noexcept;

    /// How many processes of the sandbox the kernel has killed for want of memory, as far as can be
    /// told: where its cgroup does not account for memory, those of the pod since this was made.
    /// Also after step_out. Does not throw.
    std::uint64_t memory_kills() const noexcept;
    /// The least memory limit that holds for it, in bytes. Nothing: there is none. Does not throw.
    std::optional<std::uint64_t> memory_limit() const noexcept;

  private:
    std::filesystem::path location_;
    std::vector<Hierarchy> hierarchies_;
    std::filesystem::path record_;
    std::vector<std::filesystem::path> came_from_;
    std::uint64_t earlier_kills_ = 0; ///< of whatever was in the pod before
};

/// Removes a sandbox's cgroup, also of a daemon that is gone. What is above it stays, as runc
/// leaves it. Blocks, for two seconds at most, while processes in it end. False: something
/// is left. Does not throw.
bool remove_cgroup(
    const std::filesystem::path& location, const std::vector<Hierarchy>& hierarchies
) noexcept;

/// The same for the cgroup that a record names, and removes the record. True where there is none.
bool remove_recorded_cgroup(const std::filesystem::path& record) noexcept;

} // namespace cppvm::cgroup
