#include "host/cgroup/sandbox_cgroup.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/cgroup/usage.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <string>
#include <thread>
#include <unistd.h>

namespace cppvm::cgroup {

namespace {

// A helper's child that its helper has not waited for, or a logger that writes its last lines.
constexpr std::chrono::seconds removal_timeout(2);

// What systemd has made is for systemd to set up (https://systemd.io/CGROUP_DELEGATION). So a slice
// may account for its content as a whole, and the cgroups in it for nothing (usage.cpp).
bool is_of_systemd(const std::filesystem::path& directory) {
    const auto kind = directory.extension();
    return kind == ".slice" || kind == ".scope" || kind == ".service";
}

// What cannot be had is not accounted for below: no reason to fail.
void enable_controllers(const std::filesystem::path& directory) {
    for (const char* controller : {"+cpu", "+io", "+memory", "+pids"}) {
        try {
            write_control_file(directory / "cgroup.subtree_control", controller);
        } catch (const Error&) { // NOLINT(bugprone-empty-catch)
        }
    }
}

void make_in(const Hierarchy& hierarchy, const std::filesystem::path& location) {
    const bool is_v2 = hierarchy.controller.empty();
    std::filesystem::path directory = hierarchy.root;
    bool is_new = false;
    for (const auto& part : location) {
        if (is_v2 && (is_new || !is_of_systemd(directory))) {
            enable_controllers(directory);
        }
        directory /= part;
        is_new = !std::filesystem::exists(directory);
        make_directory(directory, 0755);
    }
}

bool is_gone(const std::filesystem::path& directory) noexcept {
    return ::rmdir(directory.c_str()) == 0 || errno == ENOENT;
}

} // namespace

SandboxCgroup::SandboxCgroup(
    std::filesystem::path location, std::vector<Hierarchy> hierarchies, std::filesystem::path record
)
    : location_(std::move(location)), hierarchies_(std::move(hierarchies)),
      record_(std::move(record)), came_from_(membership(0, hierarchies_)) {
    if (hierarchies_.empty()) {
        throw Error(
            Code::failed_precondition,
            std::string("make cgroup ") + location_.native() + ": no cgroups are mounted at " +
                default_root
        );
    }
    write_file_atomically(record_, location_.native(), 0600);
    try {
        for (const auto& hierarchy : hierarchies_) {
            make_in(hierarchy, location_);
            move_process(0, hierarchy.root / location_);
        }
        earlier_kills_ = cgroup::memory_kills(location_, hierarchies_);
    } catch (...) {
        leave();
        throw;
    }
}

void SandboxCgroup::step_out() noexcept {
    for (std::size_t i = 0; i < hierarchies_.size(); ++i) {
        try {
            move_process(0, came_from_[i]);
        } catch (const std::exception&) {
            try {
                move_process(0, hierarchies_[i].root); // it may have gone meanwhile
            } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): remove_cgroup tells
            }
        }
    }
}

bool SandboxCgroup::leave() noexcept {
    step_out();
    const bool gone = remove_cgroup(location_, hierarchies_);
    if (gone) {
        ::unlink(record_.c_str());
    }
    return gone;
}

std::uint64_t SandboxCgroup::memory_kills() const noexcept {
    const std::uint64_t kills = cgroup::memory_kills(location_, hierarchies_);
    return kills - std::min(kills, earlier_kills_);
}

std::optional<std::uint64_t> SandboxCgroup::memory_limit() const noexcept {
    return cgroup::memory_limit(location_, hierarchies_);
}

bool remove_cgroup(
    const std::filesystem::path& location, const std::vector<Hierarchy>& hierarchies
) noexcept {
    const auto deadline = std::chrono::steady_clock::now() + removal_timeout;
    for (;;) {
        const bool gone = std::ranges::all_of(hierarchies, [&](const Hierarchy& hierarchy) {
            return is_gone(hierarchy.root / location);
        });
        if (gone || errno != EBUSY || std::chrono::steady_clock::now() >= deadline) {
            return gone;
        }
        // Nothing tells of the end of a process that is not ours to wait for.
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

bool remove_recorded_cgroup(const std::filesystem::path& record) noexcept {
    try {
        if (!std::filesystem::exists(record)) {
            return true;
        }
        const bool gone = remove_cgroup(read_file(record, PATH_MAX), find_hierarchies());
        return gone && ::unlink(record.c_str()) == 0;
    } catch (const std::exception&) {
        return false;
    }
}

} // namespace cppvm::cgroup
