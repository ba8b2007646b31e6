#include "guest-agent/container/containers.hpp"

#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/oci/spec_json.hpp"
#include "common/os/file.hpp"
#include "guest-agent/setup/support.hpp"

#include <boost/asio/cancellation_state.hpp>

#include <algorithm>
#include <csignal>

namespace cppvm::guest {

namespace {

constexpr std::size_t max_id_size = 128;

void require_valid_id(const std::string& id, const char* what) {
    if (!is_valid_id(id)) {
        throw Error(
            Code::invalid_argument,
            std::string(what) + " id '" + id.substr(0, max_id_size) +
                "': must be 1 to 128 letters, digits, '.', '_' or '-', and not start with '.'"
        );
    }
}

template <class T>
std::vector<std::string> unsupported_of(oci::Parsed<T>& parsed) {
    std::vector<std::string> result = std::move(parsed.unsupported);
    std::vector<std::string> reviewed = review(parsed.value);
    result.insert(result.end(), reviewed.begin(), reviewed.end());
    return result;
}

} // namespace

bool is_valid_id(std::string_view id) noexcept {
    return !id.empty() && id.size() <= max_id_size && id.front() != '.' &&
           std::all_of(id.begin(), id.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '_' || c == '-';
           });
}

Containers::Containers(ContainerContext context)
    : context_(std::move(context)), shared_(context_.share) {}

std::shared_ptr<Container> Containers::find(const std::string& id) const {
    const auto found = containers_.find(id);
    if (found == containers_.end()) {
        throw Error(Code::not_found, "container " + id.substr(0, max_id_size) + ": not found");
    }
    return found->second;
}

std::shared_ptr<Process> Containers::find(const ProcessName& name) const {
    return find(name.container_id)->find(name.exec_id);
}

/// Finds whose namespaces a container is to live in.
void Containers::join(ContainerSpec& parts, const oci::Linux& spec) const {
    for (const SharedNamespace& shared : shared_namespaces(spec)) {
        try {
            if (shared.container_id.empty()) {
                parts.pod_init = context_.pod.take_init();
                parts.joined.push_back(
                    {shared.type, duplicate(parts.pod_init->pidfd(), "the pod's init")}
                );
            } else {
                parts.joined.push_back({shared.type, find(shared.container_id)->open_init()});
            }
        } catch (const Error& error) {
            // Not NotFound, which would be about the container that is asked for.
            throw Error(Code::failed_precondition, shared.field + ": " + error.message());
        }
    }
}

Awaitable<CreateResult> Containers::create(std::string id, CreateSpec spec, StdioRequest stdio) {
    require_valid_id(id, "container");
    if (containers_.find(id) != containers_.end()) {
        throw Error(Code::already_exists, "container " + id + ": already exists");
    }
    CreateResult result;
    oci::Parsed<oci::Spec> parsed = oci::parse_spec(spec.oci);
    result.unsupported = unsupported_of(parsed);
    if (parsed.value.linux_part.seccomp) {
        throw Error(Code::invalid_argument, "linux.seccomp: the host must have compiled it");
    }
    shared_.look_at(parsed.value);
    shared_.look_at_submounts(spec.submounts);
    ContainerContext context = context_;
    context.logger = context_.logger.with({{"container", id}});
    ContainerSpec parts;
    parts.id = id;
    join(parts, parsed.value.linux_part);
    parts.oci = std::move(parsed.value);
    parts.disks = std::move(spec.disks);
    parts.sockets = std::move(spec.sockets);
    parts.pci_ports = std::move(spec.pci_ports);
    parts.seccomp = std::move(spec.seccomp);
    parts.bundle = spec.bundle;
    const auto container = std::make_shared<Container>(context, std::move(parts));
    containers_.emplace(id, container); // from now on the id is taken
    try {
        co_await container->create(stdio);
    } catch (...) {
        containers_.erase(id);
        throw;
    }
    result.pid = container->pid();
    const auto& missing = container->unsupported();
    result.unsupported.insert(result.unsupported.end(), missing.begin(), missing.end());
    co_return result;
}

Awaitable<> Containers::start(std::string id) {
    const auto container = find(id);
    shared_.look_again_at_files(container->spec());
    co_await container->start();
}

Awaitable<CreateResult>
Containers::exec(ProcessName name, std::string_view process_text, StdioRequest stdio) {
    require_valid_id(name.exec_id, "exec");
    const auto container = find(name.container_id);
    oci::Parsed<oci::Process> parsed = oci::parse_process(process_text);
    CreateResult result;
    result.unsupported = unsupported_of(parsed);
    result.pid = co_await container->exec(name.exec_id, std::move(parsed.value), stdio);
    co_return result;
}

Awaitable<unsigned> Containers::wait(ProcessName name) {
    const auto process = find(name);
    co_return co_await process->wait_exit();
}

Awaitable<> Containers::forget_exec(ProcessName name) {
    const auto found = containers_.find(name.container_id);
    if (found != containers_.end()) {
        const auto container = found->second;
        co_await container->forget_exec(name.exec_id);
    }
}

void Containers::signal(const ProcessName& name, unsigned number, bool all) {
    const auto container = find(name.container_id);
    const auto process = container->find(name.exec_id);
    if (number < 1 || number > static_cast<unsigned>(SIGRTMAX)) {
        throw Error(
            Code::invalid_argument, "send signal " + std::to_string(number) + ": no such signal"
        );
    }
    const auto signal = static_cast<int>(number);
    if (all && name.exec_id.empty()) {
        container->signal_all(signal);
        return;
    }
    if (process->is_empty()) {
        throw Error(Code::failed_precondition, "process not created");
    }
    if (!process->send_signal(signal)) {
        throw Error(
            Code::not_found, "container " + name.container_id + ": process already finished"
        );
    }
}

void Containers::resize(const ProcessName& name, unsigned width, unsigned height) {
    find(name)->resize_console(width, height);
}

std::vector<ProcessEntry> Containers::list(const std::string& id) {
    return find(id)->list();
}

Awaitable<> Containers::freeze(std::string id, bool frozen) {
    co_await find(id)->freeze(frozen);
}

std::vector<std::string> Containers::update(const std::string& id, std::string_view resources) {
    const auto container = find(id);
    oci::Parsed<oci::Resources> parsed = oci::parse_resources(resources);
    std::vector<std::string> unsupported = unsupported_of(parsed);
    const std::vector<std::string> missing = container->update(parsed.value);
    unsupported.insert(unsupported.end(), missing.begin(), missing.end());
    return unsupported;
}

CgroupStats Containers::stats(const std::string& id) {
    return find(id)->stats();
}

Awaitable<> Containers::remove(ProcessName name) {
    // Also for one that was never created: the host has detached what it was to have.
    const ScopeExit forget([this, &name] {
        if (name.exec_id.empty()) {
            shared_.forget_detached();
        }
    });
    const auto container = find(name.container_id);
    if (!name.exec_id.empty()) {
        co_await container->remove_exec(name.exec_id);
        co_return;
    }
    container->begin_remove();
    // From here on it goes through, whether the caller is still there or not.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await container->undo();
    containers_.erase(name.container_id);
}

Awaitable<> Containers::stop() {
    while (!containers_.empty()) {
        const auto container = containers_.begin()->second;
        co_await container->undo();
        // A request may have removed it meanwhile.
        containers_.erase(container->id());
    }
}

} // namespace cppvm::guest
