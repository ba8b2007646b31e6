#include "host/cli/arguments.hpp"
#include "host/cli/commands.hpp"
#include "host/config/config.hpp"
#include "host/vm/requirements.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>

namespace cppvm::cli {

namespace {

constexpr std::chrono::seconds check_timeout{20};

const char* state_name(vm::CheckState state) noexcept {
    switch (state) {
    case vm::CheckState::ok:
        return "ok";
    case vm::CheckState::warning:
        return "warning";
    case vm::CheckState::missing:
        break;
    }
    return "MISSING";
}

} // namespace

Awaitable<int> check_command(Invocation invocation) {
    const Arguments arguments(invocation.words, {"--config"});
    arguments.expect_no_rest();
    const auto file = arguments.option("--config");
    const config::Config config =
        config::load(file.value_or(config::default_path), file.has_value());
    const auto checks = co_await vm::check_host(config, deadline_in(check_timeout));
    int missing = 0;
    for (const auto& check : checks) {
        invocation.out << std::left << std::setw(9) << state_name(check.state) << std::setw(22)
                       << check.name << check.detail << '\n';
        if (!check.remedy.empty()) {
            invocation.out << std::string(31, ' ') << "-> " << check.remedy << '\n';
        }
        missing += check.state == vm::CheckState::missing ? 1 : 0;
    }
    invocation.out
        << (missing == 0 ? "This host can run virtual machines.\n"
                         : std::to_string(missing) + " missing.\n");
    co_return missing == 0 ? 0 : 1;
}

} // namespace cppvm::cli
