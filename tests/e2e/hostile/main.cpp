// PID 1 of a guest that lies to its host; see behaviour.hpp. Boots as the real agent does.

#include "common/base/build_id.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/wire/ports.hpp"
#include "common/wire/preamble.hpp"
#include "guest-agent/boot/machine.hpp"
#include "proto/cppvm/agent.pb.h"
#include "tests/e2e/hostile/rpc.hpp"
#include "tests/e2e/hostile/socket.hpp"

#include <array>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace {

using namespace cppvm;
using namespace cppvm::hostile;

std::string good_hello(std::uint32_t protocol_version = wire::protocol_version) {
    agent::v2::Hello hello;
    hello.set_protocol_version(protocol_version);
    hello.set_build_id(std::string(build_id()));
    hello.set_kernel_release("6.6.6");
    const std::string message = hello.SerializeAsString();
    return big_endian(static_cast<std::uint32_t>(message.size())) + message;
}

/// Says `words` to the boot port and waits for the host's verdict.
void say(std::uint32_t port, std::string_view words) {
    const UniqueFd socket = dial_host(port);
    char verdict = 0;
    if (socket && write_all(socket.get(), words)) {
        read_all(socket.get(), &verdict, 1);
    }
}

void say_hello(std::uint32_t port, const std::string& how) {
    if (how == "none") {
        return;
    }
    if (how == "two") {
        std::thread(say, port, good_hello()).detach();
    } else if (how == "version") {
        return say(port, good_hello(wire::protocol_version + 1));
    } else if (how == "garbage") {
        return say(port, big_endian(100) + std::string(100, '\xff'));
    } else if (how == "huge") {
        return say(port, big_endian(0xffffffff) + std::string(100'000, 'x'));
    } else if (how == "drip") {
        const UniqueFd socket = dial_host(port);
        for (std::string words = good_hello(); write_all(socket.get(), words.substr(0, 1));) {
            words.erase(0, words.size() > 1 ? 1 : 0);
            sleep_ms(900);
        }
        return;
    }
    say(port, good_hello());
}

void serve(UniqueFd connection, const Behaviour& guest, Processes& processes) {
    std::array<std::uint8_t, wire::preamble_size> head{};
    if (!read_all(connection.get(), head.data(), head.size())) {
        return;
    }
    const auto preamble = wire::decode_preamble(head);
    if (!preamble) {
        return;
    }
    const auto answer = [](int socket, bool accepted) {
        const auto bytes = wire::encode(wire::PreambleAnswer{accepted, 0});
        write_all(socket, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    };
    const int socket = connection.get();
    switch (preamble->kind) {
    case wire::ConnectionKind::rpc:
        answer(socket, true);
        serve_rpc(std::move(connection), guest, processes);
        break;
    case wire::ConnectionKind::stdio:
        // Parked first: the request that names it follows the answer at once.
        processes.park(preamble->stream, std::move(connection));
        answer(socket, true);
        break;
    case wire::ConnectionKind::resume:
    case wire::ConnectionKind::tcp:
    case wire::ConnectionKind::names:
    case wire::ConnectionKind::socket:
        answer(socket, false);
        break;
    }
}

void flood_console() {
    const std::string line(200, '!');
    for (;;) {
        std::fprintf(stderr, "%s\n", line.c_str());
    }
}

[[noreturn]] void run(guest::Machine& machine) {
    const auto guest = Behaviour::of_kernel_command_line(read_file("/proc/cmdline", 65536));
    std::fputs("hostile agent ready\n", stderr);
    const std::uint32_t boot_port = machine.options().boot_port.value_or(0);
    Processes processes;
    if (guest.is("console", "flood")) {
        std::thread(flood_console).detach();
    }
    // A good hello says that somebody listens.
    const UniqueFd listener = guest.is("hello", "silent") ? UniqueFd() : machine.listen();
    std::thread([&] {
        say_hello(boot_port, guest.get("hello"));
        while (guest.is("redial", "1")) {
            say(boot_port, good_hello());
            sleep_ms(5);
        }
    }).detach();
    for (;;) {
        pollfd waiting{listener.get(), POLLIN, 0};
        ::poll(&waiting, 1, -1);
        UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (connection) {
            std::thread([&guest, &processes, socket = connection.release()] {
                serve(UniqueFd(socket), guest, processes);
            }).detach();
        }
    }
}

} // namespace

int main() {
    ::signal(SIGPIPE, SIG_IGN);
    guest::Machine machine;
    try {
        machine.start(Logger());
        ::fcntl(STDERR_FILENO, F_SETFL, 0); // a console that blocks, for a flood
        run(machine);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "hostile agent: %s\n", error.what());
    }
    guest::power_machine_off();
}
