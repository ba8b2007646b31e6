#include "host/storage/id_mapping.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/base/take_part.hpp"
#include "common/os/file.hpp"
#include "common/os/user_namespace.hpp"
#include "host/storage/detached_mount.hpp"
#include "host/storage/overlay_options.hpp"

namespace cppvm::storage {

namespace {

[[noreturn]] void refuse(std::string_view option, const std::string& problem) {
    throw Error(
        Code::invalid_argument,
        "mount option '" + std::string(option.substr(0, 64)) + "' " + problem
    );
}

std::uint32_t parse_number(std::string_view text, std::string_view option) {
    const auto number = to_number<std::uint32_t>(text);
    if (!number) {
        refuse(option, "must be of the form container:host:size");
    }
    return *number;
}

} // namespace

std::vector<oci::IdMapping> parse_mappings(std::string_view value, std::string_view option) {
    std::vector<oci::IdMapping> mappings;
    while (!value.empty()) {
        std::string_view part = take_part(value, ',');
        const std::uint32_t container = parse_number(take_part(part, ':'), option);
        const std::uint32_t host = parse_number(take_part(part, ':'), option);
        mappings.push_back({container, host, parse_number(part, option)});
    }
    if (const auto fault = oci::find_fault(mappings)) {
        refuse(option, fault->problem);
    }
    return mappings;
}

UniqueFd make_user_namespace(const oci::IdMap& map) {
    return cppvm::make_user_namespace(oci::mapping_text(map.uids), oci::mapping_text(map.gids));
}

std::string map_lower_layers(
    const std::string& options, int user_namespace, const std::filesystem::path& place
) {
    int count = 0;
    return rename_lower_layers(options, [&](const std::string& layer) {
        const std::filesystem::path shown = place / std::to_string(count++);
        make_directory(shown, 0700);
        DetachedMount mount(std::filesystem::path(layer), false);
        mount.set_id_map(user_namespace, false);
        mount.attach(shown);
        return shown.native();
    });
}

} // namespace cppvm::storage
