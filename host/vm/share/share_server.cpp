#include "host/vm/share/share_server.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "host/vm/helper_confinement.hpp"
#include "host/vm/unix_socket.hpp"

#include <algorithm>
#include <sys/resource.h>
#include <unistd.h>

namespace cppvm::vm {

namespace {

constexpr int listener_in_child = 3;
/// It ends as soon as QEMU, which is its only client, has.
constexpr std::chrono::milliseconds end_limit{1000};

/// Extended attributes that the guest sees and may set: a program's file capabilities, and what
/// users note. Those with a meaning to the host alone (labels, ACLs, what overlayfs keeps) are as
/// if the file system had none
/// (https://gitlab.com/virtio-fs/virtiofsd/-/blob/main/doc/xattr-mapping.md).
constexpr const char* attributes = "--xattrmap=:ok:all:user.:user.:"
                                   ":ok:all:security.capability:security.capability:"
                                   ":unsupported:all:::";

/// As many as it may have: the guest decides how many inodes of an overlay it remembers, and each
/// is a descriptor (files of other file systems are kept by handle). Some 600 of them the server
/// reserves for itself; at the limit the guest gets ENFILE, and nobody else suffers.
constexpr rlim_t max_descriptors = 262144;

rlim_t descriptor_limit() {
    rlimit limit{};
    return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? std::min(limit.rlim_max, max_descriptors)
                                                   : max_descriptors;
}

/// So many requests may wait for file systems of the host that hang before others have to wait.
constexpr int volume_threads = 32;

/// For the options: https://gitlab.com/virtio-fs/virtiofsd/-/blob/main/README.md.
std::vector<std::string> arguments(const std::string& program, const ShareServerSpec& spec) {
    const int threads = spec.changed_by_host ? volume_threads : 0; // 0: none beside its own
    return {
        program,
        "--fd=" + std::to_string(listener_in_child),
        "--shared-dir",
        spec.share_dir,
        spec.changed_by_host ? "--cache=auto" : "--cache=always",
        // A file system of its own in the guest for each mount, or files of two file systems of the
        // host that have the same inode number would be one file.
        "--announce-submounts",
        // Not a descriptor for each inode that the guest remembers, where the file system can.
        "--inode-file-handles=prefer",
        "--rlimit-nofile=" + std::to_string(descriptor_limit()),
        "--modcaps=-mknod",
        // Set-user-id bits and file capabilities are taken away on the host when somebody writes to
        // a file, which Linux's FUSE client by itself forgets for open(O_TRUNC); and it need not
        // ask before each write whether there are any.
        "--killpriv-v2",
        "--xattr",
        attributes,
        "--thread-pool-size=" + std::to_string(threads),
        "--log-level=warn",
    };
}

std::string socket_name(const std::string& name) {
    return name + ".sock";
}

std::string pid_file_name(const std::string& name) {
    return name + ".pid";
}

} // namespace

std::unique_ptr<ShareServer>
ShareServer::start(const asio::any_io_executor& executor, const ShareServerSpec& spec) {
    ChildSpec child;
    child.arguments = arguments(spec.program, spec);
    child.confinement = confine_share_server();
    child.confinement.private_directory = spec.share_dir;
    // Only the process keeps the listener: when that is gone, QEMU is refused.
    auto listener = listen_unix(executor, spec.run_dir / socket_name(spec.name));
    child.descriptors = {{listener.native_handle(), listener_in_child}};
    try {
        return std::make_unique<ShareServer>(executor, std::move(child), spec.run_dir, spec.name);
    } catch (...) {
        rethrow_with_context("share " + spec.share_dir.native());
    }
}

ShareServer::ShareServer(
    const asio::any_io_executor& executor,
    ChildSpec spec,
    const std::filesystem::path& run_dir,
    const std::string& name
)
    : socket_(run_dir / socket_name(name)),
      process_(executor, std::move(spec), run_dir / pid_file_name(name)) {}

ShareServer::~ShareServer() {
    ::unlink(socket_.c_str());
}

Awaitable<std::string> ShareServer::ended() {
    const ChildExit exit = co_await process_.wait();
    co_return process_.describe(exit);
}

Awaitable<std::optional<ChildExit>> ShareServer::wait_end() {
    if (!co_await ends_by(process_.wait(), deadline_in(end_limit))) {
        co_return std::nullopt;
    }
    co_return co_await process_.wait();
}

Awaitable<std::string> ShareServer::failure() {
    const std::optional<ChildExit> exit = co_await wait_end();
    const bool failed = exit && (exit->code != 0 || exit->signal != 0);
    co_return failed ? "; " + process_.describe(*exit) : "";
}

std::vector<std::filesystem::path> share_server_pid_files(const std::filesystem::path& run_dir) {
    return {run_dir / pid_file_name(roots_server), run_dir / pid_file_name(volumes_server)};
}

std::vector<std::filesystem::path> share_server_files(const std::filesystem::path& run_dir) {
    std::vector<std::filesystem::path> files = share_server_pid_files(run_dir);
    files.push_back(run_dir / socket_name(roots_server));
    files.push_back(run_dir / socket_name(volumes_server));
    return files;
}

} // namespace cppvm::vm
