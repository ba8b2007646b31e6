#include "common/oci/fields.hpp"

#include "common/oci/id_map.hpp"

#include <filesystem>

namespace cppvm::oci::detail {

void check_version(const std::string& version, const JsonPath& path) {
    if (!version.starts_with("1.")) {
        fail(path, "must be 1.x, is '" + version.substr(0, 64) + "'");
    }
}

void check_arguments(const std::vector<std::string>& args, const JsonPath& path) {
    if (args.empty() || args[0].empty()) {
        fail(path, "must not be empty");
    }
}

void check_absolute(const std::string& value, const JsonPath& path) {
    if (!value.starts_with('/')) {
        fail(path, "must be an absolute path, is '" + value.substr(0, 256) + "'");
    }
}

void check_destination(const std::string& value, const JsonPath& path) {
    check_absolute(value, path);
    if (std::filesystem::path(value).lexically_normal() == "/") {
        fail(path, "must not be the root itself, which root.path gives");
    }
}

void check_all_absolute(const std::vector<std::string>& values, const JsonPath& path) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        check_absolute(values[i], JsonPath(path, i));
    }
}

void check_device_type(const std::string& type, const JsonPath& path) {
    if (type != "c" && type != "u" && type != "b" && type != "p") {
        fail(path, "must be c, u, b or p");
    }
}

void check_umask(const std::optional<std::uint32_t>& umask, const JsonPath& path) {
    if (umask.value_or(0) > 0777) {
        fail(path, "is out of range");
    }
}

void check_timeout(const std::optional<int>& timeout, const JsonPath& path) {
    if (timeout.value_or(1) <= 0) {
        fail(path, "must be greater than zero");
    }
}

void check_mappings(const std::vector<IdMapping>& mappings, const JsonPath& path) {
    if (const auto fault = find_fault(mappings)) {
        fail(fault->index ? JsonPath(path, *fault->index) : path, fault->problem);
    }
}

void check_oom_score(const std::optional<int>& score, const JsonPath& path) {
    constexpr int limit = 1000; // proc(5), oom_score_adj
    if (score.value_or(0) < -limit || score.value_or(0) > limit) {
        fail(path, "must be between -1000 and 1000");
    }
}

} // namespace cppvm::oci::detail
