#include "guest-agent/container/stdio_setup.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"

#include <fcntl.h>
#include <string>
#include <unistd.h>

namespace cppvm::guest {

namespace {

std::shared_ptr<StdioStream> take(StdioTable& table, std::uint64_t id, const char* name) {
    if (id == 0) {
        return nullptr;
    }
    auto stream = table.take(id);
    if (!stream) {
        throw Error(
            Code::failed_precondition,
            std::string("open ") + name + ": no stream is parked under id " + std::to_string(id)
        );
    }
    return stream;
}

void join(UniqueFd& reader, UniqueFd& writer) {
    Pipe pipe = make_pipe("stdio");
    reader = std::move(pipe.read);
    writer = std::move(pipe.write);
}

int first_of(const UniqueFd& fd, const UniqueFd& otherwise) {
    return fd ? fd.get() : otherwise.get();
}

} // namespace

StdioSetup::StdioSetup(StdioTable& table, const StdioRequest& request, bool terminal)
    : input_(take(table, request.input_stream, "stdin")),
      output_(take(table, request.output_stream, "stdout")),
      error_(take(table, request.error_stream, "stderr")), null_(open_file("/dev/null", O_RDWR)) {
    if (terminal && error_) {
        throw Error(
            Code::invalid_argument, "open stderr: a process with a terminal has one output stream"
        );
    }
    if (terminal) {
        return;
    }
    if (input_) {
        join(child_input_, our_input_);
    }
    if (output_) {
        join(our_output_, child_output_);
    }
    if (error_) {
        join(our_error_, child_error_);
    }
}

void StdioSetup::describe(ProcessSpec& process) const {
    process.standard_input = first_of(child_input_, null_);
    process.standard_output = first_of(child_output_, null_);
    process.standard_error = first_of(child_error_, null_);
}

void StdioSetup::connect(ProcessIo& io, const UniqueFd& terminal) {
    if (terminal) {
        our_input_ = duplicate(terminal.get(), "terminal", 3);
        our_output_ = duplicate(terminal.get(), "terminal", 3);
        if (!output_) {
            io.discard_output(std::move(our_output_));
        }
    }
    // Ours would keep the process from seeing its end of file, and us from seeing that it is gone.
    child_input_.reset();
    child_output_.reset();
    child_error_.reset();
    if (input_) {
        io.add_input(std::move(input_), std::move(our_input_));
    }
    if (output_) {
        io.add_output(std::move(output_), std::move(our_output_));
    }
    if (error_) {
        io.add_output(std::move(error_), std::move(our_error_));
    }
}

} // namespace cppvm::guest
