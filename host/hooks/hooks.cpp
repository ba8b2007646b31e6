#include "host/hooks/hooks.hpp"

#include "common/base/error.hpp"
#include "common/os/command.hpp"
#include "common/os/file.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace cppvm::hooks {

namespace {

// A hook that hangs holds its caller up, which waits for this shim.
constexpr std::chrono::seconds default_timeout{120};

std::filesystem::path mark_path(const std::filesystem::path& bundle) {
    return bundle / "cppvm-poststop-due";
}

Awaitable<>
run_one(std::string kind, std::size_t number, oci::Hook hook, const ContainerState& state) {
    Command command;
    command.path = hook.path;
    command.arguments = std::move(hook.args);
    if (!hook.env.empty()) {
        command.environment = std::move(hook.env);
    }
    command.input = to_json(state);
    command.working_directory = state.bundle;
    const auto timeout = hook.timeout ? std::chrono::seconds(*hook.timeout) : default_timeout;
    try {
        co_await run_command(std::move(command), deadline_in(timeout));
    } catch (...) {
        rethrow_with_context(kind + " hook #" + std::to_string(number));
    }
}

} // namespace

std::string to_json(const ContainerState& state) {
    nlohmann::json json{
        {"ociVersion", state.oci_version},
        {"id", state.id},
        {"status", state.status},
        {"bundle", state.bundle.native()},
    };
    if (state.pid != 0) {
        json["pid"] = state.pid;
    }
    if (!state.annotations.empty()) {
        json["annotations"] = state.annotations;
    }
    return json.dump();
}

Awaitable<> run(std::string kind, std::vector<oci::Hook> hooks, ContainerState state) {
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        co_await run_one(kind, i, std::move(hooks[i]), state);
    }
}

Awaitable<std::vector<std::string>>
run_all(std::string kind, std::vector<oci::Hook> hooks, ContainerState state) {
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
