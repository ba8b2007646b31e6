#include "common/base/build_id.hpp"
#include "common/base/error.hpp"
#include "common/base/one_line.hpp"
#include "common/log/logger.hpp"
#include "common/os/file.hpp"
#include "host/shim/command_line.hpp"
#include "host/shim/daemon.hpp"
#include "host/shim/delete.hpp"
#include "host/shim/info.hpp"
#include "host/shim/start.hpp"

#include <google/protobuf/stubs/logging.h>

#include <csignal>
#include <cstdlib>
#include <span>
#include <string>
#include <unistd.h>

namespace {

using namespace cppvm;       // NOLINT(google-build-using-namespace)
using namespace cppvm::shim; // NOLINT(google-build-using-namespace)

void print(std::string_view text) {
    write_all(STDOUT_FILENO, "standard output", text);
}

int run(std::span<const char* const> arguments) {
    const CommandLine line = parse_command_line(arguments);
    switch (line.action) {
    case Action::serve:
        return run_daemon(line);
    case Action::start: {
        StartEnvironment environment;
        if (const char* const address = std::getenv("TTRPC_ADDRESS")) {
            environment.ttrpc_address = address;
        }
        start(line, environment);
        return EXIT_SUCCESS;
    }
    case Action::delete_task:
        print(delete_task(line, Logger(make_fd_sink(STDERR_FILENO), LogLevel::warn)));
        return EXIT_SUCCESS;
    case Action::info:
        print(runtime_info());
        return EXIT_SUCCESS;
    case Action::version:
        print(
            "containerd-shim-cppvm-v1 " + std::string(version()) + " (build " +
            std::string(build_id()) + ")\n"
        );
        return EXIT_SUCCESS;
    case Action::help:
        print(usage());
        return EXIT_SUCCESS;
    }
    return EXIT_FAILURE;
}

} // namespace

int main(int argc, char** argv) {
    // Peers and containerd's log come and go; a write to one that is gone is an error, not the end.
    ::signal(SIGPIPE, SIG_IGN); // NOLINT(cert-err33-c): cannot fail for SIGPIPE
    // It would complain on stderr, which containerd reads as the answer of `start`, about input
    // that is only tried for one of two forms.
    google::protobuf::SetLogHandler(nullptr);
    try {
        const std::span<const char* const> arguments(argv, static_cast<std::size_t>(argc));
        return run(arguments.subspan(argc > 0 ? 1 : 0));
    } catch (...) {
        // containerd shows the text to its user, and parts of it may come from anywhere.
        constexpr std::size_t max_bytes = 4096;
        const std::string message = to_status(std::current_exception()).message;
        const std::string line = one_line("cppvm: " + message, max_bytes) + "\n";
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
        return EXIT_FAILURE;
    }
}
