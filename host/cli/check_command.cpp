#include "host/check/host_checks.hpp"
#include "host/check/isolation_checks.hpp"
#include "host/cli/arguments.hpp"
#include "host/cli/commands.hpp"
#include "host/config/config.hpp"
#include "host/vm/libvirt/libvirtd_check.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>

namespace cppvm::cli {

namespace {

constexpr std::chrono::seconds check_timeout{20};

const char* state_name(check::State state) noexcept {
    switch (state) {
    case check::State::ok:
        return "ok";
    case check::State::warning:
        return "warning";
    case check::State::missing:
        break;
    }
    return "MISSING";
}

Awaitable<std::vector<check::Check>> check_host(config::Config config, Deadline deadline) {
    const check::HostChecks host(config);
    std::vector<check::Check> checks = host.before_start();
    checks.push_back(host.taps());
    checks.push_back(host.virtlogd());
    const vm::LibvirtdCheck libvirtd = co_await vm::check_libvirtd(config, deadline);
    checks.push_back(libvirtd.check);
    checks.push_back(host.containerd());
    for (check::Check& layer : check::check_isolation(config, libvirtd.host.security_models)) {
        checks.push_back(std::move(layer));
    }
    co_return checks;
}

} // namespace

Awaitable<int> check_command(Invocation invocation) {
    const Arguments arguments(invocation.words, {"--config"});
    arguments.expect_no_rest();
    const config::Config config = load_config(arguments);
    const auto checks = co_await check_host(config, deadline_in(check_timeout));
    int missing = 0;
    for (const auto& check : checks) {
        invocation.out << std::left << std::setw(9) << state_name(check.state) << std::setw(22)
                       << check.name << check.detail << '\n';
        if (!check.remedy.empty()) {
            invocation.out << std::string(31, ' ') << "-> " << check.remedy << '\n';
        }
        missing += check.state == check::State::missing ? 1 : 0;
    }
    invocation.out
        << (missing == 0 ? "This host can run virtual machines.\n"
                         : std::to_string(missing) + " missing.\n");
    co_return missing == 0 ? 0 : 1;
}

} // namespace cppvm::cli
