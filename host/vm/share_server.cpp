#include "host/vm/share_server.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/command.hpp"
#include "host/vm/unix_socket.hpp"

#include <unistd.h>

namespace cppvm::vm {

namespace {

constexpr const char* socket_name = "virtiofsd.sock";
constexpr int listener_in_child = 3;
/// It ends as soon as QEMU, which is its only client, has.
constexpr std::chrono::milliseconds end_limit{1000};

/// Extended attributes that the guest sees and may set: a program's file capabilities, and what
/// users note. Those with a meaning to the host alone (labels, ACLs, what overlayfs keeps) are as
/// if the file system had none
/// (https://gitlab.com/virtio-fs/virtiofsd/-/blob/main/doc/xattr-mapping.md).
constexpr const char* attributes = "xattrmap=:ok:all:user.:user.:"
                                   ":ok:all:security.capability:security.capability:"
                                   ":unsupported:all:::";

/// Whether it is the C virtiofsd that came with QEMU until 7.2, by what it answers to --version.
/// Its options are others than those of the Rust one (https://gitlab.com/virtio-fs/virtiofsd).
Awaitable<bool> is_from_qemu(std::filesystem::path program, Deadline deadline) {
    std::string version;
    try {
        version = co_await run_command({program, "--version"}, deadline);
    } catch (const Error&) {
        rethrow_with_context("ask virtiofsd for its version");
    }
    co_return version.find("virtiofsd version") != std::string::npos;
}

/// killpriv_v2: set-user-id bits and file capabilities are taken away on the host when somebody
/// writes to a file, which Linux's FUSE client by itself forgets for open(O_TRUNC); and it need not
/// ask before each write whether there are any.
std::vector<std::string>
arguments(const std::string& program, bool from_qemu, const std::string& share_dir) {
    const std::string listener = "--fd=" + std::to_string(listener_in_child);
    if (from_qemu) {
        const std::string options =
            ",cache=always,timeout=1,killpriv_v2,xattr," + std::string(attributes);
        return {program, listener, "-f", "-o", "source=" + share_dir + options};
    }
    // It has no option for the time after which the guest asks again, and with cache=always that
    // is a day: too long for volumes that the host writes to.
    return {
        program,
        listener,
        "--shared-dir",
        share_dir,
        "--cache=auto",
        "--killpriv-v2",
        "--xattr",
        "--" + std::string(attributes)
    };
}

} // namespace

Awaitable<std::unique_ptr<ShareServer>> ShareServer::start(
    std::filesystem::path program,
    std::filesystem::path share_dir,
    std::filesystem::path run_dir,
    Deadline deadline
) {
    auto executor = co_await asio::this_coro::executor;
    ChildSpec spec;
    spec.arguments = arguments(program, co_await is_from_qemu(program, deadline), share_dir);
    // Only the process keeps the listener: when that is gone, QEMU is refused.
    auto listener = listen_unix(executor, run_dir / socket_name);
    spec.descriptors = {{listener.native_handle(), listener_in_child}};
    co_return std::make_unique<ShareServer>(executor, std::move(spec), run_dir);
}

ShareServer::ShareServer(
    const asio::any_io_executor& executor, ChildSpec spec, const std::filesystem::path& run_dir
)
    : socket_(run_dir / socket_name),
      process_(executor, std::move(spec), run_dir / share_server_pid_file) {}

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

std::vector<std::filesystem::path> share_server_files(const std::filesystem::path& run_dir) {
    return {run_dir / socket_name, run_dir / share_server_pid_file};
}

} // namespace cppvm::vm
