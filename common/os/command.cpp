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

constexpr off_t max_output_bytes = off_t{1024} * 1024;
constexpr std::size_t max_shown = 1024;

// An unnamed file takes the output: unlike a pipe it never makes the program wait for us.
UniqueFd make_buffer() {
    UniqueFd buffer(::memfd_create("output", MFD_CLOEXEC));
    if (!buffer) {
        throw_errno("make a buffer for", "a program's output");
    }
    return buffer;
}

/// The end of what it printed, where the words are that matter.
std::string contents(const UniqueFd& buffer, const std::string& program) {
    const off_t size = ::lseek(buffer.get(), 0, SEEK_END);
    const off_t begin = size > max_output_bytes ? size - max_output_bytes : 0;
    if (size < 0 || ::lseek(buffer.get(), begin, SEEK_SET) != begin) {
        throw_errno("rewind", "the output of " + program);
    }
    std::string text(static_cast<std::size_t>(size - begin), '\0');
    const ssize_t count = ::read(buffer.get(), text.data(), text.size());
    if (count < 0) {
        throw_errno("read", "the output of " + program);
    }
    text.resize(static_cast<std::size_t>(count));
    return text;
}

} // namespace

Awaitable<std::string> run_command(Command command, Deadline deadline) {
    auto executor = co_await asio::this_coro::executor;
    const std::string program = command.path;
    const UniqueFd input = make_buffer();
    const UniqueFd output = make_buffer();
    const UniqueFd errors = make_buffer();
    write_all(input.get(), "the input of " + program, command.input);
    if (::lseek(input.get(), 0, SEEK_SET) != 0) {
        throw_errno("rewind", "the input of " + program);
    }
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
            "run " + program + ": " + to_text(exit) + ": " +
                one_line(last_line(contents(errors, program)), max_shown)
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
