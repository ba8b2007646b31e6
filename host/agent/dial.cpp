#include "host/agent/dial.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/wire/ports.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>

namespace cppvm::agent {

namespace {

constexpr const char* operation = "open connection to guest agent";

// Whatever a transport throws, to its callers a connection that is not to be had is one error.
Awaitable<StreamSocket> dial_machine(vm::VirtualMachine& machine, Deadline deadline) {
    try {
        co_return co_await machine.dial(wire::agent_port, deadline);
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) {
            throw;
        }
        throw Error(Code::unavailable, operation + (": " + error.code().message()), error.code());
    }
}

Awaitable<std::optional<Dialled>>
do_dial(vm::VirtualMachine& machine, wire::Preamble preamble, Deadline deadline) {
    StreamSocket socket = co_await dial_machine(machine, deadline);
    const auto head = wire::encode(preamble);
    [[maybe_unused]] const auto sent =
        co_await asio::async_write(socket, asio::buffer(head), use_tuple);
    std::array<std::uint8_t, wire::preamble_answer_size> bytes{};
    auto [error, size] = co_await asio::async_read(socket, asio::buffer(bytes), use_tuple);
    if (error) {
        throw Error(Code::unavailable, operation + (": " + error.message()), error);
    }
    const auto answer = wire::decode_preamble_answer(bytes);
    if (!answer.accepted) {
        co_return std::nullopt;
    }
    co_return Dialled{std::move(socket), answer.received};
}

} // namespace

Awaitable<std::optional<Dialled>>
dial(vm::VirtualMachine& machine, wire::Preamble preamble, Deadline deadline) {
    co_return co_await with_timeout(do_dial(machine, preamble, deadline), deadline, operation);
}

} // namespace cppvm::agent
