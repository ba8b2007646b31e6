#include "guest-agent/setup/scheduling.hpp"

#include "common/base/error.hpp"
#include "common/oci/number_words.hpp"

#include <array>
#include <cstdint>
#include <linux/sched.h>
#include <span>
#include <string>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cppvm::guest {

using oci::NumberWord;
using oci::refuse;

namespace {

/// sched_attr of sched_setattr(2), whose kernel header and sched.h cannot be had together.
struct SchedulerAttributes {
    std::uint32_t size = sizeof(SchedulerAttributes);
    std::uint32_t policy = 0;
    std::uint64_t flags = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 0;
    std::uint64_t deadline = 0;
    std::uint64_t period = 0;
};

// ioprio_set(2), whose kernel header is no C++.
constexpr std::array io_classes{
    NumberWord{"IOPRIO_CLASS_RT", 1},
    NumberWord{"IOPRIO_CLASS_BE", 2},
    NumberWord{"IOPRIO_CLASS_IDLE", 3},
};
constexpr unsigned io_class_shift = 13;
constexpr int io_priority_of_process = 1; // IOPRIO_WHO_PROCESS

constexpr std::array policies{
    NumberWord{"SCHED_OTHER", SCHED_NORMAL},
    NumberWord{"SCHED_FIFO", SCHED_FIFO},
    NumberWord{"SCHED_RR", SCHED_RR},
    NumberWord{"SCHED_BATCH", SCHED_BATCH},
    NumberWord{"SCHED_IDLE", SCHED_IDLE},
    NumberWord{"SCHED_DEADLINE", SCHED_DEADLINE},
};

constexpr std::array flag_words{
    NumberWord{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
    NumberWord{"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    NumberWord{"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
    NumberWord{"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    NumberWord{"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
    NumberWord{"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
    NumberWord{"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};

constexpr std::array domains{
    NumberWord{"LINUX", PER_LINUX},
    NumberWord{"LINUX32", PER_LINUX32},
};

constexpr std::int32_t io_priorities = 8;

std::uint32_t
number_of(std::span<const NumberWord> words, const std::string& name, const std::string& path) {
    return oci::number_of(words, name, path, "value");
}

std::uint64_t flags_of(const oci::Scheduler& scheduler) {
    std::uint64_t flags = 0;
    for (std::size_t i = 0; i < scheduler.flags.size(); ++i) {
        const std::string path = "process.scheduler.flags[" + std::to_string(i) + "]";
        flags |= number_of(flag_words, scheduler.flags[i], path);
    }
    return flags;
}

int io_priority_of(const oci::IoPriority& priority) {
    const std::uint32_t io_class =
        number_of(io_classes, priority.io_class, "process.ioPriority.class");
    if (priority.priority < 0 || priority.priority >= io_priorities) {
        refuse("process.ioPriority.priority", "must be between 0 and 7");
    }
    return static_cast<int>(io_class << io_class_shift) | priority.priority;
}

} // namespace

void review_scheduling(const oci::Process& process) {
    if (process.io_priority) {
        static_cast<void>(io_priority_of(*process.io_priority));
    }
    if (process.scheduler) {
        static_cast<void>(number_of(policies, process.scheduler->policy, "process.scheduler.policy")
        );
        static_cast<void>(flags_of(*process.scheduler));
    }
}

void review_personality(const oci::Personality& personality) {
    static_cast<void>(number_of(domains, personality.domain, "linux.personality.domain"));
}

void set_scheduling(const oci::Process& process) {
    if (process.scheduler) {
        const oci::Scheduler& wanted = *process.scheduler;
        const SchedulerAttributes attributes{
            .policy = number_of(policies, wanted.policy, "process.scheduler.policy"),
            .flags = flags_of(wanted),
            .nice = wanted.nice,
            .priority = wanted.priority,
            .runtime = wanted.runtime,
            .deadline = wanted.deadline,
            .period = wanted.period,
        };
        if (::syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) {
            throw_errno("set", "process.scheduler");
        }
    }
    if (process.io_priority &&
        ::syscall(
            SYS_ioprio_set, io_priority_of_process, 0, io_priority_of(*process.io_priority)
        ) != 0) {
        throw_errno("set", "process.ioPriority");
    }
}

void set_personality(const oci::Personality& personality) {
    const std::uint32_t domain = number_of(domains, personality.domain, "linux.personality.domain");
    if (::personality(domain) < 0) {
        throw_errno("set", "linux.personality");
    }
}

} // namespace cppvm::guest
