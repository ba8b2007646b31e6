#include "guest-agent/cgroup/cgroup_dir.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/base/scope_exit.hpp"
#include "common/base/take_part.hpp"
#include "common/os/file.hpp"
#include "guest-agent/cgroup/event_file.hpp"
#include "guest-agent/cgroup/numbers.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <functional>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

constexpr std::size_t max_control_file = 1024UL * 1024;
/// A container can nest and multiply cgroups; a walk must not hold up the agent's loop.
constexpr int max_depth = 64;
constexpr int max_cgroups = 1024;

bool has_word(std::string_view text, std::string_view word) {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find_first_of(" \n", at), text.size());
        if (text.substr(at, end - at) == word) {
            return true;
        }
        at = end + 1;
    }
    return false;
}

/// Calls `visit(path)` for each directory below, children first, then for `path` itself. False when
/// there were more than `left`, which it counts down; then it has not come to `path`.
bool for_each_cgroup(
    const std::filesystem::path& path,
    const std::function<void(const std::filesystem::path&)>& visit,
    int& left,
    int depth = 0
) {
    std::error_code error;
    if (depth < max_depth) {
        for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end;
             entry.increment(error)) {
            std::error_code gone;
            if (entry->is_directory(gone) &&
                !for_each_cgroup(entry->path(), visit, left, depth + 1)) {
                return false;
            }
        }
    }
    if (left-- == 0) {
        return false;
    }
    visit(path);
    return true;
}

/// Of one cgroup alone.
std::vector<pid_t> read_pids(const std::filesystem::path& cgroup) {
    std::vector<pid_t> pids;
    std::string text;
    try {
        text = read_file(cgroup / "cgroup.procs", max_control_file);
    } catch (const Error&) {
        return pids; // one of the container's own that went away, or a threaded one
    }
    std::string_view lines = text;
    while (!lines.empty()) {
        const pid_t pid = to_number<pid_t>(take_part(lines, '\n')).value_or(0);
        if (pid > 0) { // 0: not of this pid namespace
            pids.push_back(pid);
        }
    }
    return pids;
}

} // namespace

void enable_controllers(const std::filesystem::path& root, const Logger& logger) {
    const std::string available = read_file(root / "cgroup.controllers", max_control_file);
    for (const char* name : {"cpu", "cpuset", "io", "memory", "pids", "hugetlb"}) {
        if (!has_word(available, name)) {
            continue;
        }
        try {
            // One by one: the kernel takes all or none of a line.
            write_control_file(root / "cgroup.subtree_control", std::string("+") + name);
        } catch (const Error& error) {
            logger.warn("Controller not enabled", {{"error", error.message()}});
        }
    }
}

CgroupDir::CgroupDir(const asio::any_io_executor& executor, std::filesystem::path path)
    : executor_(executor), path_(std::move(path)) {
    if (::mkdir(path_.c_str(), 0755) != 0) {
        if (errno == EEXIST) {
            throw Error(
                Code::failed_precondition, "create cgroup " + path_.native() + ": already exists"
            );
        }
        throw_errno("create cgroup", path_.native());
    }
    try {
        directory_ = open_file(path_, O_PATH | O_DIRECTORY);
    } catch (...) {
        ::rmdir(path_.c_str());
        throw;
    }
}

CgroupDir::~CgroupDir() {
    if (directory_) {
        ::rmdir(path_.c_str());
    }
}

std::vector<std::string> CgroupDir::apply(const std::vector<CgroupWrite>& writes) {
    std::vector<std::string> unsupported;
    if (writes.empty()) {
        return unsupported;
    }
    const std::string controllers = read_file(path_ / "cgroup.controllers", max_control_file);
    for (const CgroupWrite& one : writes) {
        if (!one.field.empty() && !std::filesystem::exists(path_ / one.file)) {
            if (unsupported.empty() || unsupported.back() != one.field) {
                unsupported.push_back(one.field);
            }
            continue;
        }
        if (!one.controller.empty() && !has_word(controllers, one.controller)) {
            throw Error(
                Code::failed_precondition,
                "set " + one.file + ": the guest's kernel has no cgroup controller '" +
                    one.controller + "'"
            );
        }
        write(one);
    }
    return unsupported;
}

void CgroupDir::write(const CgroupWrite& write) {
    try {
        write_control_file(path_ / write.file, write.value);
    } catch (const Error& error) {
        // Guests have no swap as a rule, and some kernels are built without it: then there is
        // nothing to limit.
        if (write.file != "memory.swap.max" || error.cause().value() != ENOENT) {
            throw;
        }
    }
}

std::vector<std::string> CgroupDir::change(const std::vector<CgroupWrite>& writes) {
    std::vector<CgroupWrite> before;
    for (const CgroupWrite& one : writes) {
        std::string text;
        try {
            text = read_file(path_ / one.file, max_control_file);
        } catch (const Error&) {
            continue; // not there; `apply` has the words for it
        }
        before.push_back({one.controller, one.file, text.substr(0, text.find('\n'))});
    }
    try {
        return apply(writes);
    } catch (...) {
        for (const CgroupWrite& one : before) {
            try {
                write(one);
            } catch (const Error&) { // NOLINT(bugprone-empty-catch): as good as it goes
            }
        }
        throw;
    }
}

void CgroupDir::check_memory(const oci::MemoryResources& memory) const {
    const std::int64_t limit = memory.limit.value_or(0);
    if (limit <= 0) {
        return;
    }
    const std::string text = read_file(path_ / "memory.current", max_control_file);
    const std::uint64_t used = parse_number(text).value_or(0);
    if (used > static_cast<std::uint64_t>(limit)) {
        throw Error(
            Code::failed_precondition,
            "linux.resources.memory.limit: " + std::to_string(limit) + " is below the " +
                std::to_string(used) + " bytes in use (checkBeforeUpdate)"
        );
    }
}

void CgroupDir::give_to(uid_t user) {
    const auto give = [&](const char* file) {
        if (::fchownat(directory_.get(), file, user, static_cast<gid_t>(-1), 0) != 0 &&
            errno != ENOENT) {
            throw_errno("change owner of", (path_ / file).native());
        }
    };
    give(".");
    // One name in each line.
    std::istringstream names(read_file("/sys/kernel/cgroup/delegate", max_control_file));
    for (std::string name; std::getline(names, name);) {
        give(name.c_str());
    }
}

std::vector<pid_t> CgroupDir::processes() const {
    std::vector<pid_t> pids;
    int left = max_cgroups;
    for_each_cgroup(
        path_,
        [&](const std::filesystem::path& path) {
            const std::vector<pid_t> found = read_pids(path);
            pids.insert(pids.end(), found.begin(), found.end());
        },
        left
    );
    return pids;
}

UniqueFd CgroupDir::open_cgroup_of(pid_t pid) const {
    // The line of cgroup v2 (cgroups(7)): "0::/c1/a/b".
    const std::string text =
        read_file("/proc/" + std::to_string(pid) + "/cgroup", max_control_file);
    const std::string own = "/" + path_.filename().native();
    const std::size_t line = text.find("0::");
    const std::size_t at = line == std::string::npos ? line : text.find(own, line);
    const std::size_t below = at + own.size();
    if (at == std::string::npos || (text[below] != '/' && text[below] != '\n')) {
        throw Error(
            Code::failed_precondition,
            "find cgroup of process " + std::to_string(pid) + ": not below " + path_.native()
        );
    }
    const std::string nested = text.substr(below, text.find('\n', below) - below);
    return open_file(path_.native() + nested, O_PATH | O_DIRECTORY);
}

void CgroupDir::kill() {
    if (directory_) {
        write_control_file(path_ / "cgroup.kill", "1");
    }
}

Awaitable<> CgroupDir::wait_event(std::string_view name, std::uint64_t value) {
    EventFile events(executor_, path_ / "cgroup.events");
    while (events.value(name) != value) {
        co_await events.wait_change();
    }
}

Awaitable<> CgroupDir::freeze(bool frozen, Deadline deadline) {
    const std::filesystem::path file = path_ / "cgroup.freeze";
    ScopeExit thaw([&] {
        frozen_ = false;
        try {
            write_control_file(file, "0");
        } catch (const Error&) { // NOLINT(bugprone-empty-catch): it is gone
        }
    });
    frozen_ = frozen;
    write_control_file(file, frozen ? "1" : "0");
    co_await with_timeout(
        wait_event("frozen", frozen ? 1 : 0),
        deadline,
        std::string(frozen ? "freeze" : "thaw") + " the processes of cgroup " + path_.native()
    );
    thaw.release();
}

Awaitable<> CgroupDir::remove(Deadline deadline) {
    if (!directory_) {
        co_return;
    }
    kill();
    co_await with_timeout(
        wait_event("populated", 0), deadline, "wait for the processes of cgroup " + path_.native()
    );
    int failure = 0;
    const auto remove_one = [&](const std::filesystem::path& path) {
        if (::rmdir(path.c_str()) != 0 && errno != ENOENT) {
            failure = errno;
        }
    };
    for (bool complete = false; !complete && failure == 0;) {
        int left = max_cgroups;
        complete = for_each_cgroup(path_, remove_one, left);
        co_await asio::post(executor_, asio::use_awaitable); // it is others' turn
    }
    if (failure != 0) {
        throw_errno("remove cgroup", path_.native(), failure);
    }
    directory_.reset();
}

} // namespace cppvm::guest
