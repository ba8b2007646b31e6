#include "host/vm/libvirt/libvirt_machine.hpp"

#include "common/async/adopt.hpp"
#include "common/async/run_once.hpp"
#include "common/async/timeout.hpp"
#include "common/async/with_undo.hpp"
#include "common/base/error.hpp"
#include "common/base/one_line.hpp"
#include "common/os/file.hpp"
#include "host/check/host_checks.hpp"
#include "host/config/firmware.hpp"
#include "host/config/programs.hpp"
#include "host/vm/disk_node.hpp"
#include "host/vm/helper_users.hpp"
#include "host/vm/leftovers.hpp"
#include "host/vm/libvirt/device_xml.hpp"
#include "host/vm/libvirt/domain_xml.hpp"
#include "host/vm/libvirt/libvirt_log.hpp"
#include "host/vm/libvirt/libvirt_state.hpp"
#include "host/vm/qemu_process.hpp"
#include "host/vm/share/share_server.hpp"
#include "host/vm/user_network.hpp"
#include "host/vm/vfio_node.hpp"
#include "host/vm/vsock/hello.hpp"

#include <algorithm>
#include <csignal>
#include <map>
#include <unistd.h>

namespace cppvm::vm {

namespace {

// QEMU connects before libvirt reports success, so that this only bounds a fault.
constexpr std::chrono::seconds console_timeout{2};
constexpr std::chrono::seconds kill_timeout{2};
constexpr std::chrono::seconds undo_attach_timeout{3};
constexpr std::chrono::seconds forget_timeout{1};
constexpr std::chrono::seconds destroy_timeout{4};
constexpr std::chrono::seconds qemu_end_grace{1};
constexpr std::size_t last_console_bytes = 600;
constexpr std::size_t searched_console_bytes = 16UL * 1024; // a panic's dump is some 3

std::unique_ptr<Vsock> make_vsock(
    const asio::any_io_executor& executor,
    const config::Config& config,
    const std::filesystem::path& run_dir,
    uid_t user
) {
    if (check::HostChecks(config).user_vsock()) {
        return make_user_vsock(executor, config::find_vhost_device_vsock(config), run_dir, user);
    }
    return make_kernel_vsock(executor);
}

} // namespace

/// Everything, apart from the object, so that a machine that is dropped without `stop` can leave
/// it to the tasks that still use it.
struct LibvirtMachine::Parts {
    Parts(
        const asio::any_io_executor& executor,
        Logger log,
        const config::Config& settings,
        VmSpec machine
    )
        : logger(std::move(log)), config(settings), spec(std::move(machine)),
          client(config::find_libvirt_helper(config), config.hypervisor.uri),
          console(executor, spec.run_dir, config.vm.console_log_bytes),
          users(claim_users(spec.run_dir, config.isolation)),
          vsock(make_vsock(executor, config, spec.run_dir, users.vsock_device)), pidfd(executor),
          gone(executor), stopped(executor), tasks(executor, logger) {
        for (const Nic& nic : spec.nics) {
            devices.emplace(nic.name, static_cast<unsigned>(devices.size()));
        }
    }

    void add_phase(std::string name) {
        phases.push_back({std::move(name), std::chrono::steady_clock::now()});
    }

    Awaitable<std::optional<std::uint32_t>>
    create_domain(std::string xml, std::vector<std::filesystem::path> sockets, Deadline deadline);
    Awaitable<> adopt_qemu();
    Awaitable<> watch_qemu();
    void start_share_servers();
    Awaitable<> watch_share(ShareServer& server);
    Awaitable<std::string> failure_of_share_servers();
    Awaitable<bool> share_servers_end();
    Awaitable<> kill_qemu();
    Awaitable<> undo_domain();
    Awaitable<> kill_and_let_libvirt_notice();
    Awaitable<> attach(const Disk& disk, unsigned index, Deadline deadline);
    Awaitable<> attach(const Nic& nic, unsigned index, Deadline deadline);
    Awaitable<> attach(const PciDevice& device, unsigned index, Deadline deadline);
    Awaitable<> detach_quietly(const std::string& name);
    std::string console_tail() const;

    Logger logger;
    config::Config config;
    VmSpec spec;
    LibvirtClient client;
    Console console;
    HelperUsers users;
    std::unique_ptr<Vsock> vsock;
    std::optional<UserNetwork> user_network;
    std::unique_ptr<ShareServer> roots;
    std::unique_ptr<ShareServer> volumes;
    std::map<std::string, unsigned> devices; ///< that can go, with their indices
    ProcessId qemu;
    asio::posix::stream_descriptor pidfd;
    Event gone;
    std::vector<Phase> phases;
    bool create_asked = false;
    RunOnce stopped;
    TaskGroup tasks;
};

Awaitable<std::optional<std::uint32_t>> LibvirtMachine::Parts::create_domain(
    std::string xml, std::vector<std::filesystem::path> sockets, Deadline deadline
) {
    create_asked = true;
    std::optional<Error> failure;
    try {
        const CreatedDomain created = co_await client.create(
            {spec.name,
             std::move(xml),
             users.qemu,
             qemu_group(config.hypervisor.acceleration, users.qemu),
             std::move(sockets)},
            deadline
        );
        for (const auto& warning : created.warnings) {
            logger.warn(warning, {{"domain", spec.name}});
        }
        co_return created.cid;
    } catch (const Error& error) {
        failure = error;
    }
    if (failure->code() == Code::cancelled || failure->code() == Code::deadline_exceeded) {
        throw Error(*failure);
    }
    std::string message = failure->message();
    if (failure->code() == Code::unavailable) {
        message += "; if libvirtd does not run, " + check::libvirtd_remedy();
    } else {
        message += co_await failure_of_share_servers();
    }
    throw Error(failure->code(), message, failure->cause());
}

// Only QEMU's user and root can connect to the console, and what they say of themselves in their
// command line is believed only then.
Awaitable<> LibvirtMachine::Parts::adopt_qemu() {
    const auto is_ours = [this](const ucred& peer) {
        const auto process = find_process(peer.pid);
        return (peer.uid == users.qemu || peer.uid == 0) && process &&
               is_qemu_of(*process, spec.uuid);
    };
    const pid_t pid = co_await with_timeout(
        console.accept(is_ours),
        deadline_in(console_timeout),
        "wait for QEMU's console: QEMU may have ended right after its start"
    );
    const auto process = find_process(pid);
    UniqueFd fd = process ? open_pidfd(*process) : UniqueFd();
    if (!fd || !is_qemu_of(*process, spec.uuid)) {
        throw Error(
            Code::unavailable, "start domain " + spec.name + ": QEMU ended right after its start"
        );
    }
    qemu = *process;
    adopt(pidfd, std::move(fd));
    write_file_atomically(spec.run_dir / qemu_pid_file, to_text(qemu), 0600);
}

Awaitable<> LibvirtMachine::Parts::watch_qemu() {
    co_await pidfd.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
    gone.set();
    vsock->stop_listening();
}

// Without virtiofsd a process of the guest that waits for one of its files waits forever, and no
// signal ends it.
Awaitable<> LibvirtMachine::Parts::watch_share(ShareServer& server) {
    const std::string how = co_await server.ended();
    // It ends with QEMU, too, and when that ends in good order, a moment before it.
    if (co_await ends_by(gone.wait(), deadline_in(qemu_end_grace))) {
        co_return;
    }
    logger.error(
        "virtiofsd has exited, and the VM cannot go on without it",
        {{"domain", spec.name}, {"how", how}}
    );
    signal_pidfd(pidfd.native_handle(), SIGKILL);
}

void LibvirtMachine::Parts::start_share_servers() {
    ShareServerSpec server{
        .program = config::find_virtiofsd(config),
        .name = roots_server,
        .changed_by_host = false,
        .share_dir = spec.share_dir,
        .run_dir = spec.run_dir,
    };
    roots = ShareServer::start(pidfd.get_executor(), server);
    server.name = volumes_server;
    server.changed_by_host = true;
    volumes = ShareServer::start(pidfd.get_executor(), server);
}

Awaitable<std::string> LibvirtMachine::Parts::failure_of_share_servers() {
    const std::string failure = co_await roots->failure();
    co_return failure.empty() ? co_await volumes->failure() : failure;
}

Awaitable<bool> LibvirtMachine::Parts::share_servers_end() {
    const bool roots_ended = (co_await roots->wait_end()).has_value();
    co_return (co_await volumes->wait_end()).has_value() && roots_ended;
}

// libvirt's own destroy sends SIGTERM and looks every 200 ms whether it helped; the machine's state
// is worth nothing, so QEMU need not end in good order.
Awaitable<> LibvirtMachine::Parts::kill_qemu() {
    if (!pidfd.is_open() || gone.is_set()) {
        co_return;
    }
    signal_pidfd(pidfd.native_handle(), SIGKILL);
    co_await with_timeout(gone.wait(), deadline_in(kill_timeout), "wait for QEMU's end");
}

// Once QEMU is dead libvirt cleans up by itself, and this waits for it. To ask it to would be an
// own process, connection and two calls, and would hold up the starts of others: while it ends a
// domain, for 200 ms as a rule, a look for that domain waits with the list of all locked.
Awaitable<> LibvirtMachine::Parts::undo_domain() {
    if (!create_asked) {
        co_return;
    }
    if (qemu.pid != 0 && libvirt_state_is_visible(config)) {
        try {
            co_await wait_forgotten_by_libvirt(spec.name, deadline_in(forget_timeout));
            co_return;
        } catch (const Error& error) {
            logger.info("Destroying the domain", {{"reason", error.message()}});
        }
    }
    if (qemu.pid == 0) {
        // Of a start that was given up. libvirt asks its QEMU to end (SIGTERM), and in the middle
        // of its own start QEMU may hang then, for longer than there is time.
        kill_machine_processes(spec.uuid, spec.share_dir, logger);
    }
    co_await client.destroy(spec.uuid, deadline_in(destroy_timeout));
}

// After libvirt did not undo the domain in time: without its QEMU it may yet.
Awaitable<> LibvirtMachine::Parts::kill_and_let_libvirt_notice() {
    kill_machine_processes(spec.uuid, spec.share_dir, logger);
    try {
        if (create_asked && libvirt_state_is_visible(config)) {
            co_await wait_forgotten_by_libvirt(spec.name, deadline_in(forget_timeout));
        }
    } catch (const std::exception& error) {
        logger.warn(
            "Domain could not be destroyed", {{"domain", spec.name}, {"error", error.what()}}
        );
    }
}

std::string LibvirtMachine::Parts::console_tail() const {
    const std::string tail =
        joined_lines(vm::console_tail(console.tail(searched_console_bytes), last_console_bytes));
    const std::string messages = read_messages_of_qemu(spec.name);
    return (tail.empty() ? "its console is empty" : "console: " + tail) +
           (messages.empty() ? "" : "; QEMU: " + messages);
}

LibvirtMachine::LibvirtMachine(
    const asio::any_io_executor& executor, Logger logger, const config::Config& config, VmSpec spec
)
    : parts_(std::make_unique<Parts>(executor, std::move(logger), config, std::move(spec))) {}

LibvirtMachine::~LibvirtMachine() {
    if (parts_->stopped.has_ended() || (parts_->tasks.size() == 0 && !parts_->create_asked)) {
        return;
    }
    try {
        if (parts_->pidfd.is_open()) {
            signal_pidfd(parts_->pidfd.native_handle(), SIGKILL);
        }
        parts_->logger.error("VM destroyed without stop()", {{"domain", parts_->spec.name}});
    } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): nobody is left to be told
    }
    // The tasks still use it, and may never run again.
    parts_->tasks.cancel();
    static_cast<void>(parts_.release()); // NOLINT(bugprone-unused-return-value)
}

Awaitable<> LibvirtMachine::start(Deadline deadline) {
    Parts& parts = *parts_;
    parts.start_share_servers();
    parts.add_phase("share");
    co_await parts.vsock->prepare(deadline);
    parts.add_phase("vsock");
    if (parts.spec.user_nic) {
        parts.user_network.emplace(
            parts.pidfd.get_executor(),
            config::find_passt(parts.config),
            parts.spec.run_dir,
            parts.users.network
        );
        co_await parts.user_network->prepare(deadline);
    }

    DomainSpec domain;
    domain.machine = parts.spec;
    domain.emulation = parts.config.hypervisor.acceleration == "emulation";
    domain.emulator = parts.config.hypervisor.emulator;
    domain.qboot = config::uses_qboot(parts.config.vm.firmware);
    domain.roots_socket = parts.roots->socket();
    domain.volumes_socket = parts.volumes->socket();
    domain.console_socket = parts.console.socket_path();
    domain.vsock_socket = parts.vsock->device_socket();
    domain.command_line = kernel_command_line(parts.spec, parts.vsock->boot_port());
    std::vector<std::filesystem::path> sockets = {
        parts.console.socket_path(), domain.roots_socket, domain.volumes_socket
    };
    if (domain.vsock_socket) {
        sockets.push_back(*domain.vsock_socket);
    }
    if (parts.user_network) {
        domain.user_network_socket = parts.user_network->socket();
        sockets.push_back(*domain.user_network_socket);
    }
    auto cid = co_await parts.create_domain(to_domain_xml(domain), sockets, deadline);
    if (!domain.vsock_socket && !cid) {
        throw Error(Code::internal, "start domain " + parts.spec.name + ": libvirt chose no CID");
    }
    parts.vsock->set_guest_cid(cid.value_or(0));
    // QEMU holds them: nobody else needs to find them.
    for (const auto& socket : sockets) {
        ::unlink(socket.c_str());
    }
    co_await parts.adopt_qemu();
    parts.tasks.spawn("copy the console", parts.console.run());
    parts.tasks.spawn("watch QEMU", parts.watch_qemu());
    parts.tasks.spawn("watch virtiofsd of roots", parts.watch_share(*parts.roots));
    parts.tasks.spawn("watch virtiofsd of volumes", parts.watch_share(*parts.volumes));
    parts.add_phase("domain");
}

storage::ShareServers LibvirtMachine::share_servers() const noexcept {
    return {parts_->roots->pid(), parts_->volumes->pid()};
}

pid_t LibvirtMachine::pid() const noexcept {
    return parts_->qemu.pid;
}

Awaitable<AgentHello> LibvirtMachine::wait_hello(Deadline deadline) {
    Parts& parts = *parts_;
    std::exception_ptr failure;
    try {
        AgentHello hello = co_await with_timeout(
            receive_hello(*parts.vsock), deadline, "wait for the guest agent of " + parts.spec.name
        );
        parts.vsock->stop_listening();
        parts.add_phase("hello");
        co_return hello;
    } catch (...) {
        failure = std::current_exception();
    }
    if (parts.gone.is_set()) {
        throw Error(
            Code::unavailable,
            "wait for the guest agent of " + parts.spec.name + ": the virtual machine has ended; " +
                parts.console_tail()
        );
    }
    const Status status = to_status(failure);
    if (status.code == Code::cancelled) {
        std::rethrow_exception(failure);
    }
    throw Error(status.code, status.message + "; " + parts.console_tail());
}

Awaitable<StreamSocket> LibvirtMachine::dial(std::uint32_t port, Deadline deadline) {
    co_return co_await with_timeout(
        parts_->vsock->dial(port),
        deadline,
        "connect to vsock port " + std::to_string(port) + " of " + parts_->spec.name
    );
}

Awaitable<> LibvirtMachine::attach(Device device, Deadline deadline) {
    const std::string name = name_of(device);
    unsigned index = 0;
    while (std::ranges::any_of(parts_->devices, [index](const auto& entry) {
        return entry.second == index;
    })) {
        ++index;
    }
    // From now on: two of a name must not come beside each other.
    if (!parts_->devices.emplace(name, index).second) {
        throw Error(Code::already_exists, "attach device " + name + ": the name is in use");
    }
    auto attached =
        std::visit([&](const auto& one) { return parts_->attach(one, index, deadline); }, device);
    co_await with_undo(std::move(attached), [&]() -> Awaitable<> {
        co_await parts_->detach_quietly(name);
        parts_->devices.erase(name);
    });
}

Awaitable<> LibvirtMachine::Parts::attach(const Disk& disk, unsigned index, Deadline deadline) {
    const gid_t group = qemu_group(config.hypervisor.acceleration, users.qemu);
    const DiskNode node(spec.name, disk, qemu.pid, users.qemu, group);
    co_await client.attach(spec.uuid, to_disk_xml(disk, node.path(), index), deadline);
}

Awaitable<> LibvirtMachine::Parts::attach(const Nic& nic, unsigned /*index*/, Deadline deadline) {
    co_await client.attach(spec.uuid, to_nic_xml(nic), deadline);
}

Awaitable<>
LibvirtMachine::Parts::attach(const PciDevice& device, unsigned /*index*/, Deadline deadline) {
    if (device.port >= spec.pci_ports) {
        throw Error(
            Code::failed_precondition, "the machine has no port for PCI device " + device.address
        );
    }
    const gid_t group = qemu_group(config.hypervisor.acceleration, users.qemu);
    const VfioNode node(device.group_node, users.qemu, group);
    const std::string xml = to_pci_device_xml(device, bus_of_pci_port(spec, device.port));
    co_await client.attach(spec.uuid, xml, deadline);
}

// libvirt may have gone on with what nobody waited for any more; as a rule there is no such device.
Awaitable<> LibvirtMachine::Parts::detach_quietly(const std::string& name) {
    try {
        co_await client.detach(spec.uuid, to_alias_xml(name), deadline_in(undo_attach_timeout));
    } catch (const Error& error) {
        logger.debug("Nothing to detach", {{"device", name}, {"reason", error.message()}});
    }
}

Awaitable<> LibvirtMachine::detach(std::string name, Deadline deadline) {
    if (!parts_->devices.contains(name)) {
        throw Error(Code::not_found, "detach device " + name + ": the machine has none");
    }
    co_await parts_->client.detach(parts_->spec.uuid, to_alias_xml(name), deadline);
    parts_->devices.erase(name);
}

Awaitable<> LibvirtMachine::wait_gone() {
    co_await parts_->gone.wait();
}

std::string LibvirtMachine::console_tail() const {
    return parts_->console_tail();
}

Awaitable<> LibvirtMachine::stop() {
    co_await parts_->stopped.run(do_stop());
}

Awaitable<> LibvirtMachine::do_stop() {
    Parts& parts = *parts_;
    parts.vsock->stop_listening();
    // A start that libvirt is still busy with, because its helper was killed, fails from now on.
    parts.console.stop_listening();
    bool destroyed = false;
    try {
        co_await parts.kill_qemu();
        co_await parts.undo_domain();
        destroyed = parts.qemu.pid != 0;
    } catch (const std::exception& error) {
        parts.logger.info(
            "Domain was not destroyed in time",
            {{"domain", parts.spec.name}, {"error", error.what()}}
        );
    }
    co_await parts.tasks.stop();
    // virtiofsd waits for its first client forever.
    if (parts.volumes && !(destroyed && co_await parts.share_servers_end())) {
        co_await parts.kill_and_let_libvirt_notice();
    }
    parts.roots.reset();
    parts.volumes.reset();
    parts.vsock->end();
    parts.user_network.reset();
    remove_machine_files(parts.spec.name, parts.spec.run_dir);
}

std::vector<Phase> LibvirtMachine::phases() const {
    return parts_->phases;
}

} // namespace cppvm::vm
