#include "host/vm/helper_process.hpp"

#include "common/async/first_of.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/base/one_line.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"
#include "host/vm/unix_socket.hpp"

#include <algorithm>
#include <fcntl.h>
#include <unistd.h>

namespace cppvm::vm {

HelperProcess::HelperProcess(
    const asio::any_io_executor& executor, ChildSpec spec, std::filesystem::path pid_file
)
    : program_(spec.arguments.at(0)), pid_file_(std::move(pid_file)),
      process_(start(executor, std::move(spec))) {
    write_file_atomically(pid_file_, to_text(process_.id()), 0600);
}

HelperProcess::~HelperProcess() {
    ::unlink(pid_file_.c_str());
}

ChildProcess HelperProcess::start(const asio::any_io_executor& executor, ChildSpec spec) {
    Pipe said = make_pipe(program_, O_NONBLOCK);
    output_ = std::move(said.read);
    spec.descriptors.emplace_back(said.write.get(), 1);
    spec.descriptors.emplace_back(said.write.get(), 2);
    return {executor, spec};
}

Awaitable<ChildExit> HelperProcess::wait() {
    co_return co_await process_.wait();
}

Awaitable<>
HelperProcess::wait_socket(std::filesystem::path path, DirectoryWatch& watch, Deadline deadline) {
    check_socket_path(path);
    const auto exists = [&path] { return ::access(path.c_str(), F_OK) == 0; };
    co_await with_timeout(
        first_of(watch.wait_until(exists), throw_when_ended()), deadline, "start " + program_
    );
}

Awaitable<> HelperProcess::throw_when_ended() {
    const ChildExit exit = co_await process_.wait();
    throw Error(Code::unavailable, describe(exit));
}

// Nobody reads it otherwise: a full pipe of a non-blocking writer loses lines, which bounds what a
// guest can make a helper log.
std::string HelperProcess::describe(const ChildExit& exit) {
    constexpr std::size_t max_shown = 1024;
    std::string said(64UL * 1024, '\0'); // what a pipe holds
    std::size_t size = 0;
    while (size < said.size()) {
        // Not blocking: a child of it may be there yet, and hold the other end.
        const ssize_t count = ::read(output_.get(), said.data() + size, said.size() - size);
        if (count <= 0) {
            break;
        }
        size += static_cast<std::size_t>(count);
    }
    const std::size_t shown = std::min(size, max_shown);
    const std::string end = joined_lines(said.substr(size - shown, shown));
    return program_ + " ended with " + to_text(exit) + ": " + (end.empty() ? "no message" : end);
}

} // namespace cppvm::vm
