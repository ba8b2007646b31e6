#include "host/storage/share.hpp"

#include "common/async/with_undo.hpp"
#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/os/file.hpp"
#include "host/storage/share_namespace.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::storage {

namespace {

constexpr std::chrono::seconds undo_timeout{5};
constexpr std::chrono::seconds submounts_timeout{3};
// Each is a file system of the guest's.
constexpr std::size_t max_submounts = 1024;

const char* kind_of(mode_t mode) {
    switch (mode & S_IFMT) {
    case S_IFIFO:
        return "fifo";
    case S_IFCHR:
    case S_IFBLK:
        return "device";
    default:
        return nullptr;
    }
}

UniqueFd open_namespace(pid_t pid) {
    return open_file("/proc/" + std::to_string(pid) + "/ns/mnt", O_RDONLY);
}

} // namespace

Share::Share(
    const asio::any_io_executor& executor, const std::filesystem::path& directory, Logger logger
)
    : executor_(executor), directory_(std::filesystem::absolute(directory)),
      logger_(std::move(logger)), turn_(executor) {
    remove_share_directory(directory_);
    make_directory(directory_, 0700);
}

Share::~Share() {
    close();
}

void Share::open(const ShareServers& servers) {
    roots_ = open_namespace(servers.roots);
    volumes_ = open_namespace(servers.volumes);
}

void Share::review_special_files(
    const ContainerStorage& storage, const std::vector<SourceInfo>& sources
) const {
    for (std::size_t i = 0; i < sources.size(); ++i) {
        const std::string& source = storage.volumes[i].source.native();
        if (S_ISSOCK(sources[i].mode)) {
            throw Error(
                Code::failed_precondition,
                "volume " + source +
                    " is a socket of the host; to let containers connect to it, "
                    "add it to sockets.host_to_guest in the configuration"
            );
        }
        if (const char* const kind = kind_of(sources[i].mode)) {
            logger_.warn(
                "Volume is neither a file nor a directory: the guest cannot reach what is behind "
                "it",
                {{"source", source}, {"kind", kind}}
            );
        }
    }
}

Awaitable<SharedNames> Share::add_container(ContainerStorage storage, Deadline deadline) {
    const std::string id = storage.container_id;
    const std::string what = "prepare storage of container " + id;
    if (stopped_ || !roots_) {
        throw Error(Code::failed_precondition, what + ": the sandbox is stopping");
    }
    std::vector<int> descriptors = {roots_.get(), volumes_.get()};
    if (storage.root_watch >= 0) {
        descriptors.push_back(storage.root_watch);
    }
    ForkedChild child(executor_, what, descriptors, [&](ParentLink& parent) {
        add_in_child(parent, storage, directory_, namespaces());
    });
    adding_.insert(&child);
    const ScopeExit forget([&] { adding_.erase(&child); });
    const auto sources = from_message<SourceInfo>(co_await child.receive(deadline));
    const std::filesystem::path watched_root = co_await child.receive(deadline);
    review_special_files(storage, sources);

    Turn::Held turn = co_await turn_.take();
    if (table_.contains(id)) {
        throw Error(Code::already_exists, what + ": it already has storage");
    }
    const auto [rootfs, plans] = table_.add(id, storage.volumes, sources);
    SharedNames names{
        .rootfs = shared_name(rootfs, false), .volumes = {}, .watched_root = watched_root
    };
    for (const VolumePlan& plan : plans) {
        names.volumes.push_back(shared_name(plan.number, plan.is_file));
    }
    const auto attach = [&]() -> Awaitable<> {
        child.send(to_message<std::uint64_t>(std::array{rootfs}));
        child.send(to_message<VolumePlan>(plans));
        co_await child.receive(deadline);
    };
    co_await with_undo(attach(), [&]() -> Awaitable<> {
        child.kill();
        co_await undo_add(id);
    });
    turn.reset(); // a mount that hangs is waited for without the others
    names.submounts = co_await receive_submounts(child);
    co_return names;
}

// A container starts without them, as it would with runc if nobody looks at them.
Awaitable<std::vector<std::string>> Share::receive_submounts(ForkedChild& child) {
    std::vector<std::string> submounts;
    const char* const warning =
        "File systems mounted below a volume may get the volume's flags, such as read-only";
    const Deadline deadline = deadline_in(submounts_timeout);
    try {
        for (;;) {
            std::string path = co_await child.receive(deadline);
            if (path.empty()) {
                break;
            }
            if (submounts.size() == max_submounts) {
                logger_.warn(warning, {{"error", "more than " + std::to_string(max_submounts)}});
                break;
            }
            submounts.push_back(std::move(path));
        }
    } catch (const Error& error) {
        logger_.warn(warning, {{"error", error.message()}});
    }
    co_return submounts;
}

Awaitable<> Share::undo_add(const std::string& id) {
    try {
        co_await detach(id, deadline_in(undo_timeout));
    } catch (const std::exception& error) {
        logger_.error("Cannot undo a container's storage", {{"error", error.what()}});
    }
}

Awaitable<> Share::detach(const std::string& id, Deadline deadline) {
    const auto removal = table_.remove(id);
    if (!removal || !roots_) {
        co_return;
    }
    ForkedChild child(
        executor_,
        "remove storage of container " + id,
        {roots_.get(), volumes_.get()},
        [&](ParentLink&) { remove_in_child(*removal, namespaces()); }
    );
    co_await child.finish(deadline);
}

Awaitable<> Share::remove_container(std::string container_id, Deadline deadline) {
    const Turn::Held turn = co_await turn_.take();
    co_await detach(container_id, deadline);
}

Awaitable<UniqueFd>
Share::open_view(std::string container_id, ContainerView view, Deadline deadline) const {
    ForkedChild child(
        executor_,
        "show the files of container " + container_id,
        {roots_.get(), volumes_.get()},
        [&](ParentLink& parent) { show_in_child(parent, view, namespaces()); }
    );
    co_await child.receive(deadline);
    UniqueFd name_space = child.open_namespace("mnt");
    child.send("opened");
    co_await child.finish(deadline);
    co_return name_space;
}

void Share::stop() noexcept {
    stopped_ = true;
    for (ForkedChild* const child : adding_) {
        child->kill();
    }
}

void Share::close() noexcept {
    roots_.reset();
    volumes_.reset();
    try {
        remove_share_directory(directory_);
    } catch (const std::exception& error) {
        logger_.error("Cannot undo the share", {{"error", error.what()}});
    }
}

void remove_share_directory(const std::filesystem::path& directory) {
    if (::rmdir(directory.c_str()) != 0 && errno != ENOENT) {
        throw_errno("remove", directory.native());
    }
}

} // namespace cppvm::storage
