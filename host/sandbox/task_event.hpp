#pragma once

#include "host/rundir/task_record.hpp"
#include "host/storage/mount.hpp"

#include <chrono>
#include <string>
#include <sys/types.h>
#include <variant>
#include <vector>

namespace cppvm::sandbox {

using WallClock = std::chrono::system_clock;

/// How a process ended, as containerd is told: exit code or 128 + signal, and when.
using Exit = TaskRecord::Exit;

/// What happens to tasks, in containerd's terms. Sent in the order in which it happened.
struct TaskCreated {
    std::string container_id;
    std::string bundle;
    std::vector<storage::MountSpec> rootfs;
    std::string stdin_uri, stdout_uri, stderr_uri;
    bool terminal = false;
    pid_t pid = 0;
};

struct TaskStarted {
    std::string container_id;
    pid_t pid = 0;
};

struct ExecAdded {
    std::string container_id;
    std::string exec_id;
};

struct ExecStarted {
    std::string container_id;
    std::string exec_id;
    pid_t pid = 0;
};

struct TaskExited {
    std::string container_id;
    std::string id; ///< the container's id for its init, else the exec's
    pid_t pid = 0;
    Exit exit;
};

struct TaskDeleted {
    std::string container_id;
    pid_t pid = 0;
    Exit exit;
};

struct TaskPaused {
    std::string container_id;
};

struct TaskResumed {
    std::string container_id;
};

/// A process of it was killed for a memory limit.
struct TaskOutOfMemory {
    std::string container_id;
};

using TaskEvent = std::variant<
    TaskCreated,
    TaskStarted,
    ExecAdded,
    ExecStarted,
    TaskExited,
    TaskDeleted,
    TaskPaused,
    TaskResumed,
    TaskOutOfMemory>;

/// Where the sandbox puts its events.
class TaskEventSink {
  public:
    TaskEventSink() = default;
    TaskEventSink(const TaskEventSink&) = delete;
    TaskEventSink& operator=(const TaskEventSink&) = delete;
    virtual ~TaskEventSink() = default;

    /// Queues the event and returns at once; delivery keeps the order of the calls.
    virtual void publish(TaskEvent event) = 0;
};

} // namespace cppvm::sandbox
