#include "common/base/error.hpp"
#include "host/cli/arguments.hpp"
#include "host/cli/commands.hpp"
#include "host/cli/sandboxes.hpp"
#include "host/config/config.hpp"

#include <nlohmann/json.hpp>

#include <iomanip>
#include <ostream>
#include <sstream>

namespace cppvm::cli {

namespace {

using Json = nlohmann::ordered_json;
using control::v1::ExplainResponse;

constexpr double mib = 1024.0 * 1024.0;

Json processes_to_json(const ExplainResponse& now) {
    Json list = Json::array();
    for (const auto& process : now.processes()) {
        list.push_back(
            {{"pid", process.pid()},
             {"name", process.name()},
             {"memory_bytes", process.memory_bytes()},
             {"cpu_us", process.cpu_us()}}
        );
    }
    return list;
}

Json tasks_to_json(const ExplainResponse& now) {
    Json list = Json::array();
    for (const auto& task : now.tasks()) {
        Json processes = Json::array();
        for (const auto& process : task.processes()) {
            Json entry{
                {"exec_id", process.exec_id()},
                {"state", process.state()},
                {"pid", process.pid()},
            };
            if (process.state() == "stopped") {
                entry["exit_status"] = process.exit_status();
            }
            processes.push_back(std::move(entry));
        }
        list.push_back({{"id", task.container_id()}, {"processes", std::move(processes)}});
    }
    return list;
}

Json explanation_to_json(const FoundSandbox& sandbox) {
    const SandboxDescription& description = sandbox.description;
    Json boot = Json::array();
    for (const auto& phase : sandbox.now.boot()) {
        boot.push_back({{"phase", phase.name()}, {"ended_us", phase.ended_us()}});
    }
    return {
        {"id", description.sandbox_id},
        {"namespace", description.containerd_namespace},
        {"state", state_of(sandbox)},
        {"reason", sandbox.silence.empty() ? sandbox.now.reason() : sandbox.silence},
        {"started", format_time(description.started)},
        {"address", description.address},
        {"bundle", description.bundle.native()},
        {"run_dir", sandbox.run_dir.native()},
        {"version", description.version},
        {"build_id", description.build_id},
        {"boot", std::move(boot)},
        {"processes", processes_to_json(sandbox.now)},
        {"tasks", tasks_to_json(sandbox.now)},
        {"console_tail", sandbox.now.console_tail()},
    };
}

std::string one_decimal(double value) {
    std::ostringstream text;
    text << std::fixed << std::setprecision(1) << value;
    return text.str();
}

void print_line(std::ostream& out, const char* name, const std::string& value) {
    if (!value.empty()) {
        out << std::left << std::setw(12) << name << value << '\n';
    }
}

void print_boot(std::ostream& out, const ExplainResponse& now) {
    std::string phases;
    for (const auto& phase : now.boot()) {
        phases.append(phases.empty() ? "" : ", ").append(phase.name()).append(" ");
        phases.append(one_decimal(static_cast<double>(phase.ended_us()) / 1000)).append(" ms");
    }
    print_line(out, "boot", phases);
}

void print_processes(std::ostream& out, const ExplainResponse& now) {
    for (const auto& process : now.processes()) {
        print_line(
            out,
            "process",
            std::to_string(process.pid()) + " " + process.name() + ": " +
                one_decimal(static_cast<double>(process.memory_bytes()) / mib) + " MiB, " +
                one_decimal(static_cast<double>(process.cpu_us()) / 1e6) + " s of processor time"
        );
    }
}

void print_tasks(std::ostream& out, const ExplainResponse& now) {
    for (const auto& task : now.tasks()) {
        for (const auto& process : task.processes()) {
            std::string line = task.container_id();
            line.append(process.exec_id().empty() ? "" : ", exec ").append(process.exec_id());
            const std::string state =
                process.state() == "stopped"
                    ? "stopped with " + std::to_string(process.exit_status())
                    : process.state() + ", pid " + std::to_string(process.pid());
            print_line(out, "task", line.append(": ").append(state));
        }
    }
}

void print(std::ostream& out, const FoundSandbox& sandbox) {
    const SandboxDescription& description = sandbox.description;
    const std::string reason = sandbox.silence.empty() ? sandbox.now.reason() : sandbox.silence;
    print_line(out, "sandbox", description.containerd_namespace + "/" + description.sandbox_id);
    print_line(out, "state", state_of(sandbox) + (reason.empty() ? "" : ": ") + reason);
    print_line(out, "started", format_time(description.started));
    print_line(out, "containerd", description.address);
    print_line(out, "bundle", description.bundle.native());
    print_line(out, "directory", sandbox.run_dir.native());
    print_line(out, "version", description.version + ", build " + description.build_id);
    print_boot(out, sandbox.now);
    print_processes(out, sandbox.now);
    print_tasks(out, sandbox.now);
    print_line(out, "console", sandbox.now.console_tail());
}

// By the sandbox's own id, or that of a container in it.
bool is_called(const FoundSandbox& sandbox, const std::string& id) {
    if (sandbox.description.sandbox_id == id) {
        return true;
    }
    for (const auto& task : sandbox.now.tasks()) {
        if (task.container_id() == id) {
            return true;
        }
    }
    return false;
}

} // namespace

Awaitable<int> explain_command(Invocation invocation) {
    const Arguments arguments(invocation.words, {"--config", "--namespace"}, {"--json"});
    if (arguments.rest().size() != 1) {
        throw Error(Code::invalid_argument, "name one sandbox or container");
    }
    const std::string id = arguments.rest().front();
    const config::Config config = load_config(arguments);
    const auto wanted = arguments.option("--namespace");
    int found = 0;
    for (const FoundSandbox& sandbox : co_await find_sandboxes(config)) {
        if (!is_called(sandbox, id) ||
            (wanted && sandbox.description.containerd_namespace != *wanted)) {
            continue;
        }
        if (arguments.flag("--json")) {
            invocation.out << explanation_to_json(sandbox).dump(2) << '\n';
        } else {
            invocation.out << (found == 0 ? "" : "\n");
            print(invocation.out, sandbox);
        }
        ++found;
    }
    if (found == 0) {
        throw Error(
            Code::not_found,
            id + ": no such sandbox or container below " + config.run_dir.native() +
                "; `cppvm list` names them"
        );
    }
    co_return 0;
}

} // namespace cppvm::cli
