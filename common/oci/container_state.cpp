#include "common/oci/container_state.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace cppvm::oci {

namespace {

// A hook that hangs holds its caller up.
constexpr std::chrono::seconds default_time{120};
constexpr std::chrono::seconds longest_time{24 * 60 * 60};

} // namespace

std::string to_json(const ContainerState& state) {
    nlohmann::json json{
        {"ociVersion", state.oci_version},
        {"id", state.id},
        {"status", state.status},
        {"bundle", state.bundle},
    };
    if (state.pid != 0) {
        json["pid"] = state.pid;
    }
    if (!state.annotations.empty()) {
        json["annotations"] = state.annotations;
    }
    return json.dump();
}

std::chrono::seconds time_limit(const Hook& hook) noexcept {
    const auto wanted = hook.timeout ? std::chrono::seconds(*hook.timeout) : default_time;
    return std::min(wanted, longest_time);
}

std::chrono::seconds time_limit(const std::vector<Hook>& hooks) noexcept {
    std::chrono::seconds sum{0};
    for (const Hook& hook : hooks) {
        sum = std::min(sum + time_limit(hook), longest_time);
    }
    return sum;
}

} // namespace cppvm::oci
