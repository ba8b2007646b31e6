#include "host/cli/sandboxes.hpp"

#include "common/async/all_of.hpp"
#include "common/async/task_group.hpp"
#include "common/async/timeout.hpp"
#include "common/async/with_undo.hpp"
#include "common/base/error.hpp"
#include "common/os/unix_connection.hpp"
#include "common/ttrpc/client.hpp"
#include "proto/cppvm/control.ttrpc.hpp"

#include <algorithm>
#include <ctime>
#include <tuple>

namespace cppvm::cli {

namespace {

constexpr std::chrono::seconds ask_limit{5};

Awaitable<control::v1::ExplainResponse> call(std::filesystem::path run_dir, Deadline deadline) {
    const auto executor = co_await asio::this_coro::executor;
    auto socket = co_await connect_unix(control_socket_path(run_dir));
    ttrpc::Client client(StreamSocket(std::move(socket)), Logger());
    TaskGroup running(executor, Logger());
    running.spawn("connection", client.run());
    control::v1::ControlClient control(client);
    const auto stop = [&]() -> Awaitable<> {
        co_await client.stop();
        co_await running.stop();
    };
    auto response =
        co_await with_undo(control.explain({}, {.deadline = deadline, .metadata = {}}), stop);
    co_await stop();
    co_return response;
}

Awaitable<> ask(FoundSandbox& sandbox, Deadline deadline) {
    try {
        sandbox.now = co_await with_timeout(
            call(sandbox.run_dir, deadline),
            deadline,
            "ask sandbox " + sandbox.description.sandbox_id
        );
    } catch (const Error& error) {
        sandbox.silence = error.message();
    }
}

std::vector<FoundSandbox> described_below(const std::filesystem::path& directory) {
    std::vector<FoundSandbox> found;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
        if (auto description = read_description(entry->path())) {
            found.push_back({entry->path(), std::move(*description), {}, {}});
        }
    }
    if (error && error != std::errc::no_such_file_or_directory) {
        throw Error(Code::failed_precondition, "read " + directory.native(), error);
    }
    std::ranges::sort(found, {}, [](const FoundSandbox& sandbox) {
        return std::tie(sandbox.description.containerd_namespace, sandbox.description.sandbox_id);
    });
    return found;
}

} // namespace

Awaitable<std::vector<FoundSandbox>> find_sandboxes(config::Config config) {
    const Deadline deadline = deadline_in(ask_limit);
    std::vector<FoundSandbox> found = described_below(config.run_dir);
    std::vector<Awaitable<>> questions;
    questions.reserve(found.size());
    for (FoundSandbox& sandbox : found) {
        questions.push_back(ask(sandbox, deadline));
    }
    co_await all_of(std::move(questions));
    co_return found;
}

std::string state_of(const FoundSandbox& sandbox) {
    using control::v1::ExplainResponse;
    if (!sandbox.silence.empty()) {
        return "no answer";
    }
    switch (sandbox.now.state()) {
    case ExplainResponse::BOOTING:
        return "booting";
    case ExplainResponse::RUNNING:
        return "running";
    case ExplainResponse::ENDED:
        return "ended";
    default:
        return "failed";
    }
}

std::string format_time(std::chrono::system_clock::time_point time) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text.data();
}

} // namespace cppvm::cli
