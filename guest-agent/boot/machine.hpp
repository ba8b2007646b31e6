#pragma once

#include "guest-agent/boot/kernel_command_line.hpp"
#include "guest-agent/network/listeners.hpp"
#include "guest-agent/service/environment.hpp"

namespace cppvm::guest {

/// The agent as PID 1 of a virtual machine whose root is the initramfs that holds it.
class Machine : public Environment {
  public:
    /// Mounts the kernel's file systems and opens the console as 0, 1 and 2. What fails here has no
    /// console to go to, so it is kept for `start`.
    Machine();

    const BootOptions& options() const noexcept { return options_; }

    /// The rest of the boot: modules, limits, the host's share, loopback. Throws: Error.
    void start(const Logger& logger);

    std::string share() const override;
    std::filesystem::path cgroup_root() const override;
    UniqueFd listen() override;
    bool is_from_host(int connection) const override;
    Awaitable<std::optional<StreamSocket>> dial_host() override;
    std::vector<BootPhase> phases() const override { return phases_; }
    void change_clock(const ClockChange& change) override;
    void configure_pod(
        const std::string& hostname, const std::map<std::string, std::string>& sysctls
    ) override;
    Awaitable<std::vector<std::string>>
    set_network(network::State wanted, Deadline deadline) override;
    Awaitable<Disk> find_disk(std::string serial, Deadline deadline) override;
    Awaitable<> find_pci_device(std::string port, Deadline deadline) override;
    Awaitable<std::set<network::ListeningPort>> next_listeners() override;
    /// Does not return.
    Awaitable<> wait_end(asio::any_io_executor executor) override;
    void power_off() override;

  private:
    void end_phase(const char* name);

    BootOptions options_;
    std::vector<BootPhase> phases_;
    std::exception_ptr early_failure_;
    std::optional<ListenWatch> listen_watch_; ///< from the first question on
};

/// Flushes file systems and powers the machine off.
[[noreturn]] void power_machine_off() noexcept;

} // namespace cppvm::guest
