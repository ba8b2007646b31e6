#include "guest-agent/setup/rlimits.hpp"

#include "common/base/error.hpp"

#include <algorithm>
#include <array>
#include <sys/resource.h>
#include <utility>

namespace cppvm::guest {

std::optional<int> rlimit_number(std::string_view name) noexcept {
    using Entry = std::pair<std::string_view, int>;
    static constexpr std::array<Entry, 16> limits{{
        {"RLIMIT_AS", RLIMIT_AS},
        {"RLIMIT_CORE", RLIMIT_CORE},
        {"RLIMIT_CPU", RLIMIT_CPU},
        {"RLIMIT_DATA", RLIMIT_DATA},
        {"RLIMIT_FSIZE", RLIMIT_FSIZE},
        {"RLIMIT_LOCKS", RLIMIT_LOCKS},
        {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
        {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
        {"RLIMIT_NICE", RLIMIT_NICE},
        {"RLIMIT_NOFILE", RLIMIT_NOFILE},
        {"RLIMIT_NPROC", RLIMIT_NPROC},
        {"RLIMIT_RSS", RLIMIT_RSS},
        {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
        {"RLIMIT_RTTIME", RLIMIT_RTTIME},
        {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
        {"RLIMIT_STACK", RLIMIT_STACK},
    }};
    const auto found = std::find_if(limits.begin(), limits.end(), [&](const Entry& entry) {
        return entry.first == name;
    });
    return found == limits.end() ? std::nullopt : std::optional<int>(found->second);
}

namespace {

__rlimit_resource number_of(const oci::Rlimit& limit) {
    const auto number = rlimit_number(limit.type);
    if (!number) {
        throw Error(Code::invalid_argument, "process.rlimits: unknown limit '" + limit.type + "'");
    }
    return static_cast<__rlimit_resource>(*number);
}

} // namespace

void set_rlimits(const std::vector<oci::Rlimit>& limits) {
    for (const oci::Rlimit& limit : limits) {
        rlimit value{limit.soft, limit.hard};
        if (::setrlimit(number_of(limit), &value) != 0) {
            throw_errno("set limit", limit.type);
        }
    }
}

void raise_hard_limits(pid_t pid, const std::vector<oci::Rlimit>& limits) {
    for (const oci::Rlimit& limit : limits) {
        rlimit value{};
        if (::prlimit(pid, number_of(limit), nullptr, &value) != 0) {
            throw_errno("get limit", limit.type);
        }
        if (limit.hard <= value.rlim_max) {
            continue;
        }
        value.rlim_max = limit.hard;
        if (::prlimit(pid, number_of(limit), &value, nullptr) != 0) {
            throw_errno("set limit", limit.type);
        }
    }
}

} // namespace cppvm::guest
