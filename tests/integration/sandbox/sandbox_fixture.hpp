#pragma once

#include "common/os/file.hpp"
#include "host/sandbox/sandbox.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/fake_guest.hpp"

#include <boost/asio/steady_timer.hpp>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/stat.h>
#include <vector>

namespace cppvm::sandbox {

/// The process of an exec, as containerd sends it.
inline const std::string exec_process =
    R"({"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}})";

/// Keeps what the sandbox publishes, in short form: "exit c1/e1 3".
struct EventLog : TaskEventSink {
    void publish(TaskEvent event) override { lines.push_back(std::visit(Text{}, event)); }

    struct Text {
        std::string operator()(const TaskCreated& e) const { return "create " + e.container_id; }
        std::string operator()(const TaskStarted& e) const { return "start " + e.container_id; }
        std::string operator()(const ExecAdded& e) const { return "exec-added " + e.exec_id; }
        std::string operator()(const ExecStarted& e) const { return "exec-started " + e.exec_id; }
        std::string operator()(const TaskExited& e) const {
            return "exit " + e.id + " " + std::to_string(e.exit.status);
        }
        std::string operator()(const TaskDeleted& e) const { return "delete " + e.container_id; }
        std::string operator()(const TaskPaused& e) const { return "pause " + e.container_id; }
        std::string operator()(const TaskResumed& e) const { return "resume " + e.container_id; }
        std::string operator()(const TaskOutOfMemory& e) const { return "oom " + e.container_id; }
    };

    std::vector<std::string> lines;
};

/// A directory with a bundle and a root file system, in a mount namespace of the test's own.
class SandboxTest : public ::testing::Test {
  protected:
    SandboxTest() {
        if (::unshare(CLONE_NEWNS) != 0 ||
            ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
            throw_errno("unshare", "mount namespace (needs root)");
        }
        EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
        for (const char* name : {"run", "bundle", "rootfs", "rootfs/bin"}) {
            make_directory(path(name), 0755);
        }
        write_config(R"({"ociVersion": "1.0.2", "root": {"path": "rootfs"},
            "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]}})");
    }

    ~SandboxTest() override {
        EXPECT_EQ(mounts_below(directory_), "");
        std::filesystem::remove_all(directory_);
    }

    std::filesystem::path path(const std::string& name) const {
        return std::filesystem::path(directory_) / name;
    }

    void write_config(const std::string& json) const {
        write_file_atomically(path("bundle") / "config.json", json, 0600);
    }

    std::string fifo(const std::string& name) const {
        EXPECT_EQ(::mkfifo(path(name).c_str(), 0600), 0);
        return path(name);
    }

    TaskSpec container(const std::string& id) const {
        TaskSpec spec;
        spec.id = id;
        spec.bundle = path("bundle");
        spec.rootfs = {{"bind", path("rootfs"), "", {"rbind", "rw"}}};
        return spec;
    }

    SandboxSpec sandbox_spec() const {
        SandboxSpec spec{
            Identity("/run/test.sock", "tests", "s1"),
            pod::PodSpec(),
            config::Config(),
            path("run"),
            CPPVM_STANDIN_PROGRAM
        };
        spec.config.network.host = "none"; // what its pod asks for
        return spec;
    }

    static std::string mounts_below(const std::string& directory) {
        std::string found;
        const std::string table = read_file("/proc/self/mountinfo", 16UL * 1024 * 1024);
        for (std::size_t at = 0; (at = table.find(" " + directory, at)) != std::string::npos;
             ++at) {
            found.append(table.substr(at, table.find(' ', at + 1) - at));
        }
        return found;
    }

    std::string directory_ = "/tmp/cppvm-sandbox-test-XXXXXX";
};

/// What a test's body gets: a sandbox that boots, over a fake guest.
struct Bench {
    Bench(const asio::any_io_executor& its_executor, SandboxSpec spec)
        : executor(its_executor), hypervisor(executor),
          sandbox(executor, Logger(), std::move(spec), hypervisor, events) {}

    asio::any_io_executor executor;
    testing::FakeHypervisor hypervisor;
    EventLog events;
    Sandbox sandbox;
};

/// Runs `body` with a sandbox, then stops it and checks that no machine is left.
inline void with_sandbox(SandboxSpec spec, std::function<Awaitable<>(Bench&)> body) {
    testing::co_test([](SandboxSpec owned, std::function<Awaitable<>(Bench&)> run) -> Awaitable<> {
        Bench bench(co_await asio::this_coro::executor, std::move(owned));
        std::exception_ptr failure;
        try {
            co_await run(bench);
        } catch (...) {
            failure = std::current_exception();
        }
        co_await bench.sandbox.stop();
        co_await bench.hypervisor.stop();
        EXPECT_EQ(bench.hypervisor.machines, 0);
        if (failure) {
            std::rethrow_exception(failure);
        }
    }(std::move(spec), std::move(body)));
}

/// Waits, turn by turn of the loop, until `condition` holds; co_test bounds it.
inline Awaitable<> until(std::function<bool()> condition) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (!condition()) {
        timer.expires_after(std::chrono::milliseconds(1));
        co_await timer.async_wait(asio::use_awaitable);
    }
}

/// The status that awaiting `operation` gives.
template <class T>
Awaitable<Status> status_of(Awaitable<T> operation) {
    try {
        co_await std::move(operation);
    } catch (...) {
        co_return to_status(std::current_exception());
    }
    co_return Status{};
}

} // namespace cppvm::sandbox
