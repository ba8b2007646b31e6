#pragma once

#include "guest-agent/service/environment.hpp"

namespace cppvm::guest {

/// Where the agent finds things when it is a process among others.
struct ProcessOptions {
    std::string listen_path; ///< unix socket; removed first if it is there
    std::string hello_path;  ///< unix socket of the "host"; empty: no hello
    std::string share;
    std::filesystem::path cgroup;
};

/// The agent as an ordinary process, as root, in namespaces that its user has made: for tests and
/// debugging. The "host" is any process of the same user.
class ProcessEnvironment : public Environment {
  public:
    explicit ProcessEnvironment(ProcessOptions options) : options_(std::move(options)) {}

    std::string share() const override { return options_.share; }
    std::filesystem::path cgroup_root() const override { return options_.cgroup; }
    UniqueFd listen() override;
    bool is_from_host(int connection) const override;
    Awaitable<std::optional<StreamSocket>> dial_host() override;
    std::vector<BootPhase> phases() const override { return {}; }
    void change_clock(const ClockChange&) override {}
    void configure_pod(const std::string&, const std::map<std::string, std::string>&) override {}
    Awaitable<std::vector<std::string>> set_network(network::State, Deadline) override {
        co_return std::vector<std::string>();
    }
    Awaitable<Disk> find_disk(std::string serial, Deadline deadline) override;
    Awaitable<> find_pci_device(std::string, Deadline) override { co_return; }
    Awaitable<std::set<network::ListeningPort>> next_listeners() override;
    /// SIGTERM or SIGINT.
    Awaitable<> wait_end(asio::any_io_executor executor) override;
    void power_off() override {}

  private:
    ProcessOptions options_;
};

} // namespace cppvm::guest
