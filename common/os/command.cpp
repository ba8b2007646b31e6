#include "common/os/command.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/base/one_line.hpp"
#include "common/os/child_process.hpp"
#include "common/os/file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace cppvm {

namespace {

constexpr std::size_t max_output_bytes = std::size_t{1024} * 1024;

// An unnamed file takes the output: unlike a pipe it never makes the program wait for us.
UniqueFd make_buffer() {
    UniqueFd buffer(::memfd_create("output", MFD_CLOEXEC));
    if (!buffer) {
        throw_errno("make a buffer for", "a program's output");
    }
    return buffer;
}

void rewind(const UniqueFd& buffer, const std::string& what) {
    if (::lseek(buffer.get(), 0, SEEK_SET) != 0) {
        throw_errno("rewind", what);
    }
}

std::string contents(const UniqueFd& buffer, const std::string& program) {
    rewind(buffer, "the output of " + program);
    return read_all(buffer.get(), "the output of " + program, max_output_bytes);
}

} // namespace

Awaitable<std::string> run_command(Command command, Deadline deadline) {
    auto executor = co_await asio::this_coro::executor;
    const std::string program = command.path;
    const UniqueFd input = make_buffer();
    const UniqueFd output = make_buffer();
    const UniqueFd errors = make_buffer();
    write_all(input.get(), "the input of " + program, command.input);
    rewind(input, "the input of " + program);
    ChildSpec spec;
    spec.path = command.path;
    spec.arguments = std::move(command.arguments);
    if (spec.arguments.empty()) {
        spec.arguments = {program};
    }
    spec.environment = std::move(command.environment);
    spec.working_directory = std::move(command.working_directory);
    spec.descriptors = {{input.get(), 0}, {output.get(), 1}, {errors.get(), 2}};
    ChildProcess child(executor, spec);
    const ChildExit exit = co_await with_timeout(child.wait(), deadline, "run " + program);
    if (exit.code != 0 || exit.signal != 0) {
        throw Error(
            Code::failed_precondition,
            "run " + program + ": " + to_text(exit) + ": " + last_line(contents(errors, program))
        );
    }
    co_return contents(output, program);
}

Awaitable<std::string> run_command(std::vector<std::string> arguments, Deadline deadline) {
    Command command;
    command.path = arguments.at(0);
    command.arguments = std::move(arguments);
    co_return co_await run_command(std::move(command), deadline);
}

} // namespace cppvm
