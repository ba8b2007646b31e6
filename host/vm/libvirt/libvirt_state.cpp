#include "host/vm/libvirt/libvirt_state.hpp"

#include "common/async/timeout.hpp"
#include "host/vm/directory_watch.hpp"

#include <unistd.h>

namespace cppvm::vm {

namespace {

constexpr const char* state_dir = "/run/libvirt/qemu";

bool path_exists(const std::filesystem::path& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

} // namespace

bool libvirt_state_is_visible(const config::Config& config) {
    return config.hypervisor.uri == "qemu:///system";
}

bool known_to_libvirt(const std::string& name) {
    const std::filesystem::path directory = state_dir;
    return path_exists(directory / (name + ".pid")) || path_exists(directory / (name + ".xml"));
}

Awaitable<> wait_forgotten_by_libvirt(std::string name, Deadline deadline) {
    DirectoryWatch watch(co_await asio::this_coro::executor, state_dir);
    co_await with_timeout(
        watch.wait_until([&name] { return !known_to_libvirt(name); }),
        deadline,
        "wait for libvirt to forget domain " + name
    );
}

} // namespace cppvm::vm
