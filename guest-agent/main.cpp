#include "common/base/build_id.hpp"
#include "common/base/error.hpp"
#include "guest-agent/boot/machine.hpp"
#include "guest-agent/boot/process_environment.hpp"
#include "guest-agent/service/agent.hpp"
#include "guest-agent/setup/pod_init.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <csignal>
#include <cstdio>
#include <string_view>
#include <unistd.h>

namespace {

using namespace cppvm;
using namespace cppvm::guest;

void run(Environment& environment, const Logger& logger) {
    asio::io_context loop(1);
    Agent agent(loop.get_executor(), environment, logger);
    std::exception_ptr failure;
    asio::co_spawn(loop, agent.run(), [&](const std::exception_ptr& exception) {
        failure = exception;
        loop.stop();
    });
    loop.run();
    if (failure) {
        // The agent's parts are in the middle of what they do: there is no orderly end.
        logger.error("Agent failed", {{"error", to_status(failure).message}});
        environment.power_off();
        ::_exit(1);
    }
}

[[noreturn]] void run_machine() {
    Machine machine;
    const Logger logger(make_fd_sink(STDERR_FILENO), machine.options().log_level);
    std::set_terminate([] {
        std::fputs("cppvm-agent: unexpected end, powering off\n", stderr);
        power_machine_off();
    });
    if (machine.options().power_off) {
        logger.info("Agent started; the kernel's command line asks to power off");
    }
    try {
        machine.start(logger);
        if (!machine.options().power_off) {
            run(machine, logger);
        }
    } catch (...) {
        logger.error("Boot failed", {{"error", to_status(std::current_exception()).message}});
    }
    power_machine_off();
}

constexpr const char* usage = "usage: cppvm-agent --listen-unix PATH --share PATH --cgroup PATH\n"
                              "                   [--hello-unix PATH] [--log-level LEVEL]\n"
                              "As PID 1 of a virtual machine it takes no options.\n";

int wrong_usage() {
    std::fputs(usage, stderr);
    return 2;
}

int run_process(int argc, char** argv) {
    ProcessOptions options;
    LogLevel level = LogLevel::info;
    for (int i = 1; i < argc; i += 2) {
        const std::string_view key = argv[i];
        if (i + 1 == argc) {
            return wrong_usage();
        }
        const char* value = argv[i + 1];
        if (key == "--listen-unix") {
            options.listen_path = value;
        } else if (key == "--hello-unix") {
            options.hello_path = value;
        } else if (key == "--share") {
            options.share = value;
        } else if (key == "--cgroup") {
            options.cgroup = value;
        } else if (key == "--log-level" && parse_log_level(value)) {
            level = *parse_log_level(value);
        } else {
            return wrong_usage();
        }
    }
    if (options.listen_path.empty() || options.share.empty() || options.cgroup.empty()) {
        return wrong_usage();
    }
    ProcessEnvironment environment(options);
    const Logger logger(make_fd_sink(STDERR_FILENO), level);
    try {
        run(environment, logger);
        return 0;
    } catch (...) {
        logger.error("Agent failed", {{"error", to_status(std::current_exception()).message}});
        return 1;
    }
}

} // namespace

int main(int argc, char** argv) {
    ::signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::fputs(usage, stdout);
        return 0;
    }
    if (argc == 2 && std::string_view(argv[1]) == "-v") {
        std::printf("cppvm-agent %s\n", std::string(build_id()).c_str());
        return 0;
    }
    if (argc == 2 && std::string_view(argv[1]) == pod_init_option) {
        run_pod_init();
    }
    // The kernel passes words of its command line that it does not know as arguments, so a virtual
    // machine is told by what only a process is given.
    const bool is_process = argc > 1 && std::string_view(argv[1]).starts_with("--");
    if (is_process) {
        return run_process(argc, argv);
    }
    if (::getpid() != 1) {
        return wrong_usage();
    }
    run_machine();
}
