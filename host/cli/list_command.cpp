#include "host/cli/arguments.hpp"
#include "host/cli/commands.hpp"
#include "host/cli/sandboxes.hpp"
#include "host/config/config.hpp"

#include <nlohmann/json.hpp>

#include <iomanip>
#include <ostream>

namespace cppvm::cli {

namespace {

using Json = nlohmann::ordered_json;

Json to_json(const FoundSandbox& sandbox) {
    const SandboxDescription& description = sandbox.description;
    return {
        {"id", description.sandbox_id},
        {"namespace", description.containerd_namespace},
        {"state", state_of(sandbox)},
        {"daemon", description.daemon},
        {"started", format_time(description.started)},
        {"tasks", sandbox.now.tasks_size()},
        {"run_dir", sandbox.run_dir.native()},
    };
}

void print_row(
    std::ostream& out,
    const std::string& containerd_namespace,
    const std::string& state,
    const std::string& daemon,
    const std::string& started,
    const std::string& tasks,
    const std::string& id
) {
    out << std::left << std::setw(16) << containerd_namespace << ' ' << std::setw(10) << state
        << std::setw(9) << daemon << std::setw(22) << started << std::setw(7) << tasks << id
        << '\n';
}

} // namespace

Awaitable<int> list_command(Invocation invocation) {
    const Arguments arguments(invocation.words, {"--config"}, {"--json"});
    arguments.expect_no_rest();
    const config::Config config = load_config(arguments);
    const auto sandboxes = co_await find_sandboxes(config);
    if (arguments.flag("--json")) {
        Json list = Json::array();
        for (const FoundSandbox& sandbox : sandboxes) {
            list.push_back(to_json(sandbox));
        }
        invocation.out << list.dump(2) << '\n';
        co_return 0;
    }
    print_row(invocation.out, "NAMESPACE", "STATE", "DAEMON", "STARTED", "TASKS", "ID");
    for (const FoundSandbox& sandbox : sandboxes) {
        const SandboxDescription& description = sandbox.description;
        print_row(
            invocation.out,
            description.containerd_namespace,
            state_of(sandbox),
            std::to_string(description.daemon),
            format_time(description.started),
            sandbox.silence.empty() ? std::to_string(sandbox.now.tasks_size()) : "?",
            description.sandbox_id
        );
    }
    co_return 0;
}

} // namespace cppvm::cli
