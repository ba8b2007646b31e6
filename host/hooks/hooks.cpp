#include "host/hooks/hooks.hpp"

#include "common/base/error.hpp"
#include "common/os/command.hpp"
#include "common/os/file.hpp"

#include <utility>

namespace cppvm::hooks {

namespace {

std::filesystem::path mark_path(const std::filesystem::path& bundle) {
    return bundle / "cppvm-poststop-due";
}

Awaitable<>
run_one(std::string kind, std::size_t number, oci::Hook hook, const oci::ContainerState& state) {
    Command command;
    command.path = hook.path;
    command.arguments = std::move(hook.args);
    if (!hook.env.empty()) {
        command.environment = std::move(hook.env);
    }
    command.input = oci::to_json(state);
    command.working_directory = state.bundle;
    const Deadline deadline = deadline_in(oci::time_limit(hook));
    try {
        co_await run_command(std::move(command), deadline);
    } catch (...) {
        rethrow_with_context(kind + " hook #" + std::to_string(number));
    }
}

} // namespace

Awaitable<> run(std::string kind, std::vector<oci::Hook> hooks, oci::ContainerState state) {
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        co_await run_one(kind, i, std::move(hooks[i]), state);
    }
}

Awaitable<std::vector<std::string>>
run_all(std::string kind, std::vector<oci::Hook> hooks, oci::ContainerState state) {
    std::vector<std::string> errors;
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        try {
            co_await run_one(kind, i, std::move(hooks[i]), state);
        } catch (const Error& error) {
            errors.push_back(error.message());
        }
    }
    co_return errors;
}

void set_poststop_due(const std::filesystem::path& bundle) {
    write_file_atomically(mark_path(bundle), "", 0600);
}

bool is_poststop_due(const std::filesystem::path& bundle) noexcept {
    std::error_code error;
    return std::filesystem::exists(mark_path(bundle), error);
}

void clear_poststop_due(const std::filesystem::path& bundle) noexcept {
    std::error_code error;
    std::filesystem::remove(mark_path(bundle), error);
}

} // namespace cppvm::hooks
