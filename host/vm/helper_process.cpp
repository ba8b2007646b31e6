#include "host/vm/helper_process.hpp"

#include "common/base/error.hpp"
#include "common/base/one_line.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"

#include <boost/asio/buffer.hpp>

#include <array>
#include <fcntl.h>
#include <unistd.h>

namespace cppvm::vm {

HelperProcess::HelperProcess(
    const asio::any_io_executor& executor, ChildSpec spec, std::filesystem::path pid_file
)
    : program_(spec.arguments.at(0)), pid_file_(std::move(pid_file)), output_(executor),
      process_(start(executor, std::move(spec))) {
    write_file_atomically(pid_file_, to_text(process_.id()), 0600);
}

HelperProcess::~HelperProcess() {
    ::unlink(pid_file_.c_str());
}

ChildProcess HelperProcess::start(const asio::any_io_executor& executor, ChildSpec spec) {
    Pipe said = make_pipe(program_, O_NONBLOCK);
    output_.assign(said.read.release());
    spec.descriptors.emplace_back(said.write.get(), 1);
    spec.descriptors.emplace_back(said.write.get(), 2);
    return {executor, spec};
}

Awaitable<ChildExit> HelperProcess::wait() {
    co_return co_await process_.wait();
}

// Nobody reads it otherwise: a full pipe of a non-blocking writer loses lines, which bounds what a
// guest can make a helper log.
std::string HelperProcess::describe(const ChildExit& exit) {
    std::array<char, 1024> buffer{};
    boost::system::error_code error;
    const std::size_t count = output_.read_some(asio::buffer(buffer), error);
    const std::string said = joined_lines(std::string(buffer.data(), error ? 0 : count));
    return program_ + " ended with " + to_text(exit) + ": " + (said.empty() ? "no message" : said);
}

} // namespace cppvm::vm
