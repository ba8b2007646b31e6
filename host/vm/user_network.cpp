#include "host/vm/user_network.hpp"

#include "common/base/error.hpp"
#include "host/vm/helper_confinement.hpp"

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
    : directory_(user_network_directory(run_dir), user),
      watch_(std::in_place, executor, directory_.path()),
      process_(
          executor, command(program, directory_.path(), user), run_dir / user_network_pid_file
      ) {}

Awaitable<> UserNetwork::prepare(Deadline deadline) {
    try {
        co_await process_.wait_socket(socket(), *watch_, deadline);
    } catch (const Error& error) {
        throw Error(
            error.code(),
            "give the machine the host's network: " + error.message() +
                "; where the host has no route to anywhere, set network.host to \"none\""
        );
    }
    watch_.reset(); // a host has few inotify instances for each user
}

std::filesystem::path UserNetwork::socket() const {
    return directory_ / socket_name;
}

std::filesystem::path user_network_directory(const std::filesystem::path& run_dir) {
    return run_dir / "passt";
}

} // namespace cppvm::vm
