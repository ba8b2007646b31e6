#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/shim/serve.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

// A daemon that serves nothing: it writes down what it was given into `<bundle>/report` and waits
// for SIGTERM. FAKE_SERVE=stubborn: ignores it; throw: fails; litter: leaves files and a mount
// point's directory behind; create: containerd creates the sandbox; return: ends at once.
namespace cppvm::shim {

namespace {

std::string list_descriptors() {
    std::string list;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone; // the one that lists
        const auto target = std::filesystem::read_symlink(entry.path(), gone);
        if (!gone) {
            list.append("fd ").append(target.native()).append("\n");
        }
    }
    return list;
}

std::string report(const DaemonSpec& spec) {
    const mode_t mask = ::umask(0);
    ::umask(mask);
    return "id " + spec.id + "\nsandbox " + spec.identity.sandbox_id() + "\nbundle " +
           spec.bundle.native() + "\nttrpc " + spec.ttrpc_address + "\npublish " +
           spec.publish_binary + "\nvcpus " + std::to_string(spec.config.vm.vcpus) + "\nrun_dir " +
           spec.run_dir.native() + "\nlevel " + std::to_string(static_cast<int>(spec.log_level)) +
           "\nsession " + (::getsid(0) == ::getpid() ? "own" : "inherited") + "\numask " +
           std::to_string(mask) + "\nawaits create " + (spec.pod.awaits_create ? "1" : "0") +
           "\ncwd " + std::filesystem::current_path().native() + "\noom " +
           read_file("/proc/self/oom_score_adj", 64) + list_descriptors();
}

} // namespace

int serve(DaemonSpec spec) {
    const char* const variable = std::getenv("FAKE_SERVE");
    const std::string mode = variable == nullptr ? "" : variable;
    if (mode == "create") {
        pod::PodSpec created = spec.pod;
        created.network = {network::NamespaceSpec::Kind::path, "/run/netns/of-the-pod"};
        spec.on_created(created);
    }
    write_file_atomically(spec.bundle / "report", report(spec), 0600);
    spec.logger.info("Fake daemon serves");
    if (mode == "throw") {
        throw Error(Code::internal, "the fake fails");
    }
    if (mode == "return") {
        return 0;
    }
    if (mode == "litter") {
        std::filesystem::create_directories(spec.run_dir / "share");
        write_file_atomically(spec.run_dir / "console.log", "text", 0600);
        write_file_atomically(spec.bundle / "littered", "", 0600);
    }
    pollfd entries[] = {
        {mode == "stubborn" ? -1 : spec.ending_signals.get(), POLLIN, 0},
        {spec.listener.get(), POLLIN, 0}
    };
    for (;;) {
        ::poll(entries, 2, -1);
        if ((entries[0].revents & POLLIN) != 0) {
            return 0;
        }
        const UniqueFd peer(::accept4(spec.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
}

} // namespace cppvm::shim
