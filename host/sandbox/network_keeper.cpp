#include "host/sandbox/network_keeper.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/network/message.hpp"
#include "host/agent/link.hpp"
#include "host/check/host_checks.hpp"
#include "host/network/name_relay.hpp"
#include "host/network/namespace.hpp"
#include "host/network/resolv_conf.hpp"

#include <boost/asio/steady_timer.hpp>

#include <utility>

namespace cppvm::sandbox {

namespace {

constexpr std::chrono::seconds open_timeout{20};
constexpr std::chrono::seconds change_timeout{20};
constexpr std::chrono::seconds dial_timeout{10};
// Whoever changes a namespace makes several changes in a row.
constexpr std::chrono::milliseconds settle_time{50};
constexpr std::chrono::seconds retry_pause{1};
constexpr std::chrono::seconds redial_pause{1};
constexpr std::chrono::seconds resolv_conf_timeout{5};
constexpr std::size_t max_name_servers = 8; // of all containers

// A port of the machine's for each; what they cost is in docs/adr/0018.
constexpr std::size_t max_boot_nics = 24;
constexpr unsigned max_later_nics = 8;

} // namespace

NetworkKeeper::NetworkKeeper(
    const asio::any_io_executor& executor,
    Logger logger,
    std::string tap_prefix,
    const config::Config& config
)
    : executor_(executor), logger_(std::move(logger)), tap_prefix_(std::move(tap_prefix)),
      config_(config), opened_(executor), sync_ended_(executor), relays_(executor, logger_) {}

Awaitable<> NetworkKeeper::open(network::NamespaceSpec spec, unsigned queues) {
    spec_ = std::move(spec);
    return do_open(queues);
}

Awaitable<> NetworkKeeper::do_open(unsigned queues) {
    try {
        UniqueFd opened =
            co_await network::open_namespace(executor_, spec_, deadline_in(open_timeout));
        if (spec_.kind == network::NamespaceSpec::Kind::host) {
            of_the_host_ = std::move(opened);
        } else {
            network_ = std::make_unique<network::PodNetwork>(
                executor_, std::move(opened), tap_prefix_, queues
            );
        }
    } catch (...) {
        failure_ = std::current_exception();
    }
    opened_.set();
}

void NetworkKeeper::give_up(std::exception_ptr reason) noexcept {
    if (!opened_.is_set()) {
        failure_ = std::move(reason);
        opened_.set();
    }
}

Awaitable<int> NetworkKeeper::descriptor() {
    co_await opened_.wait();
    if (failure_) {
        std::rethrow_exception(failure_);
    }
    co_return opened_namespace();
}

int NetworkKeeper::opened_namespace() const noexcept {
    return network_ ? network_->descriptor() : of_the_host_.get();
}

Awaitable<std::vector<vm::Nic>> NetworkKeeper::boot_nics() {
    if (spec_.kind != network::NamespaceSpec::Kind::path) {
        co_return std::vector<vm::Nic>(); // a fresh one is still empty
    }
    co_await descriptor();
    std::vector<vm::Nic> nics = network_->changes().come;
    if (nics.size() > max_boot_nics) {
        throw Error(
            Code::invalid_argument,
            "network namespace " + spec_.path.native() + " has " + std::to_string(nics.size()) +
                " interfaces; a machine boots with at most " + std::to_string(max_boot_nics)
        );
    }
    if (!nics.empty()) {
        require_taps(nics.front());
    }
    co_return nics;
}

std::string NetworkKeeper::giving(const vm::Nic& nic) const {
    return "give network interface " + network_->interface_of(nic) + " to the machine";
}

void NetworkKeeper::require_taps(const vm::Nic& nic) const {
    const check::Check taps = check::HostChecks(config_).taps();
    if (taps.state != check::State::ok) {
        throw Error(Code::failed_precondition, giving(nic) + ": " + to_text(taps));
    }
}

std::optional<vm::UserNic> NetworkKeeper::user_nic() {
    if (spec_.kind != network::NamespaceSpec::Kind::host) {
        return std::nullopt;
    }
    host_network_ = network::choose_host_network(config_);
    if (host_network_ == network::HostNetwork::user) {
        return vm::UserNic{network::to_text(network::user_mac)};
    }
    logger_.warn(
        "The container asks for the host's network and gets loopback alone: network.host is "
        "\"none\", or the host has no default route"
    );
    return std::nullopt;
}

// Whether the guest has more than loopback, or may come to have it.
bool NetworkKeeper::has_network() const noexcept {
    return network_ || host_network_ == network::HostNetwork::user;
}

unsigned NetworkKeeper::later_nics() const noexcept {
    return spec_.kind == network::NamespaceSpec::Kind::host ? 0 : max_later_nics;
}

void NetworkKeeper::join_boot_nics(
    const vm::VirtualMachine& machine, const std::vector<vm::Nic>& nics
) {
    for (const vm::Nic& nic : nics) {
        network_->join(nic, machine.pid());
    }
}

Awaitable<> NetworkKeeper::sync(vm::VirtualMachine& machine, AgentHandle agent, Deadline deadline) {
    co_await descriptor();
    while (syncing_) {
        sync_ended_.clear();
        co_await sync_ended_.wait();
    }
    if (!has_network()) {
        co_return;
    }
    syncing_ = true;
    const ScopeExit end([this] {
        syncing_ = false;
        sync_ended_.set();
    });
    co_await do_sync(machine, agent, deadline);
}

// The guest hears of an interface that goes before it goes, and of a new one when it is there.
Awaitable<>
NetworkKeeper::do_sync(vm::VirtualMachine& machine, const AgentHandle& agent, Deadline deadline) {
    network::PodNetwork::Changes changes;
    if (network_) {
        changes = network_->changes();
    }
    for (const std::string& nic : changes.gone) {
        network_->leave(nic);
        co_await machine.detach(nic, deadline);
    }
    for (vm::Nic& nic : changes.come) {
        co_await attach(machine, std::move(nic), deadline);
    }
    co_await send_state(agent, deadline);
}

Awaitable<> NetworkKeeper::attach(vm::VirtualMachine& machine, vm::Nic nic, Deadline deadline) {
    ScopeExit forget([this, &nic] { network_->leave(nic.name); });
    require_taps(nic);
    try {
        co_await machine.attach(nic, deadline);
    } catch (...) {
        rethrow_with_context(giving(nic));
    }
    network_->join(nic, machine.pid());
    forget.release();
}

Awaitable<> NetworkKeeper::send_state(const AgentHandle& agent, Deadline deadline) {
    network::State state = network_ ? network_->state() : network::user_network_state();
    if (state == sent_) {
        co_return;
    }
    agent::v2::SetNetworkRequest request;
    *request.mutable_network() = network::to_message(state);
    const auto response = co_await agent->call(
        &agent::v2::AgentClient::set_network, std::move(request), deadline, agent::Repeat::yes
    );
    for (const std::string& part : response.unsupported()) {
        logger_.warn("The guest's kernel does not know a part of the network", {{"part", part}});
    }
    sent_ = std::move(state);
}

Awaitable<> NetworkKeeper::keep(vm::VirtualMachine& machine, AgentHandle agent) {
    if (!has_network()) {
        co_return;
    }
    serve_ports(agent);
    std::string failure; // of the last attempt
    while (network_) {
        if (failure.empty()) {
            co_await network_->wait_change();
        } else {
            co_await ends_by(network_->wait_change(), deadline_in(retry_pause));
        }
        asio::steady_timer settle(executor_, settle_time);
        co_await settle.async_wait(asio::use_awaitable);
        try {
            co_await sync(machine, agent, deadline_in(change_timeout));
            failure.clear();
        } catch (const Error& error) {
            if (std::exchange(failure, error.message()) != error.message()) {
                logger_.error(
                    "A change of the network did not reach the guest", {{"error", error.message()}}
                );
            }
        }
    }
}

void NetworkKeeper::serve_ports(const AgentHandle& agent) {
    ports_.emplace(
        executor_,
        logger_,
        opened_namespace(),
        network_ ? network::GuestPorts::Reach::loopback : network::GuestPorts::Reach::as_the_guest,
        [agent](network::ListeningPort port) {
            return agent->open_tcp(port.port, port.ipv6, deadline_in(dial_timeout));
        }
    );
    ports_->set(listening_);
}

void NetworkKeeper::set_listening(const agent::v2::Event::Listening& listening) {
    constexpr std::uint32_t last_port = 0xffff;
    listening_.clear();
    for (const auto& port : listening.ports()) {
        if (port.port() > 0 && port.port() <= last_port) {
            listening_.insert(
                {port.ipv6(), static_cast<std::uint16_t>(port.port()), port.everywhere()}
            );
        }
    }
    if (ports_) {
        ports_->set(listening_);
    }
}

Awaitable<> NetworkKeeper::relay_names(AgentHandle agent, std::filesystem::path resolv_conf) {
    if (resolv_conf.empty()) {
        co_return;
    }
    try {
        const auto servers = co_await network::read_loopback_name_servers(
            executor_, resolv_conf, deadline_in(resolv_conf_timeout)
        );
        for (const auto& server : servers) {
            if (name_servers_.size() < max_name_servers && name_servers_.insert(server).second) {
                relays_.spawn(
                    "relay for name server " + server.to_string(), keep_names(agent, server)
                );
            }
        }
    } catch (const Error& error) {
        logger_.warn("Name servers are not known", {{"error", error.message()}});
    }
}

Awaitable<> NetworkKeeper::keep_names(AgentHandle agent, asio::ip::address server) {
    for (bool is_ours = false;;) {
        try {
            auto socket = co_await agent->open_names(server, deadline_in(dial_timeout));
            if (!socket && !is_ours) { // a container has a server of its own there
                logger_.debug("A name server stays the guest's", {{"server", server.to_string()}});
                co_return;
            }
            if (socket) { // else the agent has not noticed yet that the last one is lost
                is_ours = true;
                network::NameRelay relay(executor_, logger_, opened_namespace(), server);
                co_await relay.run(std::move(*socket));
            }
        } catch (const Error& error) {
            logger_.debug("No relay for a name server", {{"error", error.message()}});
        }
        asio::steady_timer pause(executor_, redial_pause);
        co_await pause.async_wait(asio::use_awaitable);
    }
}

Awaitable<> NetworkKeeper::stop() {
    co_await relays_.stop();
    if (ports_) {
        co_await ports_->stop();
    }
    ports_.reset();
    network_.reset();
    of_the_host_.reset();
}

} // namespace cppvm::sandbox
