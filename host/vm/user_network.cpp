#include "host/vm/user_network.hpp"

#include "common/async/first_of.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "host/vm/helper_confinement.hpp"
#include "host/vm/unix_socket.hpp"

#include <unistd.h>

namespace cppvm::vm {

namespace {

constexpr const char* socket_name = "net.sock";

ChildSpec command(
    const std::filesystem::path& program,
    const std::filesystem::path& directory,
    const std::optional<uid_t>& user
) {
    ChildSpec spec;
    // The agent configures the guest, so nothing is to be announced to it. --no-map-gw: else the
    // gateway's address would lead to the host's loopback.
    spec.arguments = {
        program,
        "--foreground",
        "--quiet",
        "--one-off",
        "--socket",
        directory / socket_name,
        "--no-map-gw",
        "--no-dhcp",
        "--no-dhcpv6",
        "--no-ra",
        "--tcp-ports",
        "none",
        "--udp-ports",
        "none",
    };
    if (user) {
        spec.confinement = confine_user_network(*user);
    }
    return spec;
}

} // namespace

UserNetwork::UserNetwork(
    const asio::any_io_executor& executor,
    const std::filesystem::path& program,
    const std::filesystem::path& run_dir,
    std::optional<uid_t> user
)
    : program_(program), directory_(user_network_directory(run_dir), user),
      watch_(std::in_place, executor, directory_.path()),
      process_(
          executor, command(program, directory_.path(), user), run_dir / user_network_pid_file
      ) {}

Awaitable<> UserNetwork::prepare(Deadline deadline) {
    check_socket_path(socket());
    const auto exists = [this] { return ::access(socket().c_str(), F_OK) == 0; };
    co_await with_timeout(
        first_of(watch_->wait_until(exists), throw_when_ended()),
        deadline,
        "start " + program_.native()
    );
    watch_.reset(); // a host has few inotify instances for each user
}

std::filesystem::path UserNetwork::socket() const {
    return directory_ / socket_name;
}

Awaitable<> UserNetwork::throw_when_ended() {
    const ChildExit exit = co_await process_.wait();
    throw Error(Code::unavailable, process_.describe(exit));
}

std::filesystem::path user_network_directory(const std::filesystem::path& run_dir) {
    return run_dir / "passt";
}

} // namespace cppvm::vm
