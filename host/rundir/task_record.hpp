#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <sys/types.h>

namespace cppvm {

/// What `delete` has to tell containerd about a task whose daemon is gone.
struct TaskRecord {
    /// How and when the task ended.
    struct Exit {
        std::uint32_t status = 0;
        std::chrono::system_clock::time_point at; ///< kept to the nanosecond

        friend bool operator==(const Exit&, const Exit&) = default;
    };

    pid_t pid = 0;            ///< the one that containerd was told
    std::optional<Exit> exit; ///< nothing while it runs

    friend bool operator==(const TaskRecord&, const TaskRecord&) = default;
};

/// Replaces `<bundle>/cppvm-task.json` as a whole. The daemon calls it when a task was created and
/// when it ended, before the exit is reported to anybody. Blocks for one small file.
/// Throws: Error.
void write_task_record(const std::filesystem::path& bundle, const TaskRecord& record);

/// The record of a bundle; nothing if there is none, or none that makes sense: `delete` goes on
/// with what it knows itself.
std::optional<TaskRecord> read_task_record(const std::filesystem::path& bundle) noexcept;

} // namespace cppvm
