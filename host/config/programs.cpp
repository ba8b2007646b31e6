#include "host/config/programs.hpp"

#include "common/base/error.hpp"
#include "common/base/take_part.hpp"

#include <cstdlib>
#include <string>
#include <unistd.h>

namespace cppvm::config {

namespace {

bool is_executable(const std::filesystem::path& path) {
    return std::filesystem::is_regular_file(path) && ::access(path.c_str(), X_OK) == 0;
}

} // namespace

std::filesystem::path find_program(
    std::string_view name,
    const std::filesystem::path& configured,
    const std::vector<std::filesystem::path>& directories
) {
    if (!configured.empty()) {
        if (is_executable(configured)) {
            return configured;
        }
        throw Error(
            Code::failed_precondition,
            "find " + std::string(name) + ": " + configured.native() +
                ", named by the configuration, is not an executable file"
        );
    }
    std::vector<std::filesystem::path> places;
    std::error_code ignored;
    const auto here = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
    places.push_back(here);
    places.push_back(here.parent_path() / "libexec/cppvm"); // an installation that was moved
    places.emplace_back(CPPVM_LIBEXEC_DIR);
    places.insert(places.end(), directories.begin(), directories.end());
    const char* const path = std::getenv("PATH");
    std::string_view rest = path != nullptr ? path : "";
    while (!rest.empty()) {
        places.emplace_back(take_part(rest, ':'));
    }
    std::string tried;
    for (const auto& place : places) {
        if (place.empty() || !place.is_absolute()) {
            continue; // a relative PATH entry must not decide what runs as root
        }
        if (is_executable(place / name)) {
            return place / name;
        }
        tried.append(tried.empty() ? "" : ", ").append(place.native());
    }
    throw Error(
        Code::failed_precondition, "find " + std::string(name) + ": not in any of " + tried
    );
}

std::filesystem::path find_virtiofsd(const Config& config) {
    // The distribution's first: it is kept up to date.
    std::filesystem::path packaged = "/usr/libexec/virtiofsd";
    if (config.hypervisor.virtiofsd.empty() && ::access(packaged.c_str(), X_OK) == 0) {
        return packaged;
    }
    return find_program("virtiofsd", config.hypervisor.virtiofsd, {"/usr/lib/virtiofsd"});
}

std::filesystem::path find_libvirt_helper(const Config& config) {
    return find_program("cppvm-libvirt", config.hypervisor.libvirt_helper);
}

std::filesystem::path find_vhost_device_vsock(const Config& config) {
    return find_program("vhost-device-vsock", config.vsock.vhost_device_vsock);
}

std::filesystem::path find_passt(const Config& config) {
    return find_program("passt", config.network.passt);
}

} // namespace cppvm::config
