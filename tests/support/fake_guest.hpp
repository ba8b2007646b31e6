#pragma once

#include "common/async/run_once.hpp"
#include "common/async/task_group.hpp"
#include "common/base/build_id.hpp"
#include "common/base/error.hpp"
#include "common/ttrpc/server.hpp"
#include "common/wire/ports.hpp"
#include "common/wire/preamble.hpp"
#include "host/vm/virtual_machine.hpp"
#include "proto/cppvm/agent.ttrpc.hpp"
#include "tests/support/fake_share_server.hpp"

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace cppvm::testing {

/// An agent without a guest: keeps the life of processes as the real one does, and fails or hangs
/// where a test says so. Runs on the test's own loop.
class FakeAgent : public agent::v2::AgentService {
  public:
    explicit FakeAgent(const asio::any_io_executor& executor)
        : executor_(executor), more_events_(executor) {}

    /// Called first in each RPC with its name; may throw, or return false to never answer.
    std::function<bool(const std::string& rpc)> on_call = [](const std::string&) { return true; };
    /// Guest pids beside init and execs that ListProcesses tells.
    std::vector<std::int32_t> other_pids;

    /// Execs that have exited still have streams, until they are deleted.
    bool keep_execs = false;

    std::vector<std::string> calls;            ///< every RPC in the order in which they came
    agent::v2::CreateContainerRequest created; ///< the last one

    bool has_process(const std::string& container, const std::string& exec) const {
        return processes_.contains({container, exec});
    }
    std::size_t process_count() const { return processes_.size(); }
    const agent::v2::Stdio& stdio(const std::string& container, const std::string& exec) const {
        return processes_.at({container, exec})->stdio;
    }

    /// Ends a process with `status`, as the guest's kernel would.
    void exit_process(const std::string& container, const std::string& exec, std::uint32_t status) {
        auto& process = *processes_.at({container, exec});
        process.exited = true;
        agent::v2::Event event;
        event.set_sequence(events_.size() + 1);
        event.mutable_exited()->set_process_number(process.number);
        event.mutable_exited()->set_exit_status(status);
        events_.push_back(std::move(event));
        more_events_.set();
        if (!exec.empty() && !keep_execs) {
            processes_.erase({container, exec});
        }
    }

    /// Tells an event of which the host has heard already, or another that no honest agent would.
    void tell(agent::v2::Event event) {
        events_.push_back(std::move(event));
        more_events_.set();
    }

    Awaitable<agent::v2::CreateContainerResponse> create_container(
        ttrpc::CallContext&, const agent::v2::CreateContainerRequest& request
    ) override {
        co_await enter("create_container");
        created = request;
        add(request.container_id(), "", request.process_number(), request.stdio());
        agent::v2::CreateContainerResponse response;
        response.set_pid(100);
        response.add_unsupported("linux.seccomp");
        co_return response;
    }

    Awaitable<agent::v2::Empty>
    start_container(ttrpc::CallContext&, const agent::v2::StartContainerRequest& request) override {
        bool failed = false;
        try {
            co_await enter("start_container");
        } catch (...) {
            failed = true;
        }
        if (failed) { // as when the program is missing: the init ends, then the call fails
            exit_process(request.container_id(), "", 127);
            throw Error(Code::failed_precondition, "exec \"nope\": no such file or directory");
        }
        co_return agent::v2::Empty();
    }

    Awaitable<agent::v2::ExecResponse>
    exec(ttrpc::CallContext&, const agent::v2::ExecRequest& request) override {
        co_await enter("exec");
        add(request.container_id(), request.exec_id(), request.process_number(), request.stdio());
        co_return agent::v2::ExecResponse();
    }

    Awaitable<> events(
        ttrpc::CallContext&,
        const agent::v2::EventsRequest& request,
        ttrpc::ReplyWriter<agent::v2::Event>& events
    ) override {
        std::size_t told = request.seen(); // the first has number 1
        for (;;) {
            while (told < events_.size()) {
                co_await events.send(events_[told++]);
            }
            more_events_.clear();
            co_await more_events_.wait();
        }
    }

    Awaitable<agent::v2::Empty>
    signal_process(ttrpc::CallContext&, const agent::v2::SignalProcessRequest& request) override {
        co_await enter("signal_process");
        const auto process = find(request.process());
        if (request.signal() == 9) {
            exit_process(request.process().container_id(), request.process().exec_id(), 137);
        }
        co_return agent::v2::Empty();
    }

    Awaitable<agent::v2::Empty>
    resize_console(ttrpc::CallContext&, const agent::v2::ResizeConsoleRequest&) override {
        co_await enter("resize_console");
        co_return agent::v2::Empty();
    }

    Awaitable<agent::v2::ListProcessesResponse>
    list_processes(ttrpc::CallContext&, const agent::v2::ListProcessesRequest& request) override {
        co_await enter("list_processes");
        agent::v2::ListProcessesResponse response;
        std::int32_t pid = 100;
        for (const auto& [key, process] : processes_) {
            if (key.first == request.container_id() && !process->exited) {
                auto* entry = response.add_processes();
                entry->set_pid(pid++);
                entry->set_exec_id(key.second);
                entry->set_is_init(key.second.empty());
            }
        }
        for (const std::int32_t other : other_pids) {
            response.add_processes()->set_pid(other);
        }
        co_return response;
    }

    Awaitable<agent::v2::Empty>
    delete_process(ttrpc::CallContext&, const agent::v2::ProcessRef& request) override {
        co_await enter("delete_process");
        find(request);
        processes_.erase({request.container_id(), request.exec_id()});
        co_return agent::v2::Empty();
    }

    Awaitable<agent::v2::SetNetworkResponse>
    set_network(ttrpc::CallContext&, const agent::v2::SetNetworkRequest& request) override {
        co_await enter("set_network");
        network = request.network();
        co_return agent::v2::SetNetworkResponse();
    }

    Awaitable<agent::v2::Empty>
    configure_pod(ttrpc::CallContext&, const agent::v2::ConfigurePodRequest& request) override {
        co_await enter("configure_pod");
        pod = request;
        co_return agent::v2::Empty();
    }

    Awaitable<agent::v2::Empty>
    freeze(ttrpc::CallContext&, const agent::v2::FreezeRequest& request) override {
        co_await enter(request.frozen() ? "freeze" : "thaw");
        co_return agent::v2::Empty();
    }

    Awaitable<agent::v2::Empty>
    replay(ttrpc::CallContext&, const agent::v2::ReplayRequest&) override {
        co_await enter("replay");
        co_return agent::v2::Empty();
    }
    Awaitable<agent::v2::Empty>
    look_again(ttrpc::CallContext&, const agent::v2::LookAgainRequest& request) override {
        co_await enter("look_again");
        looked_at.insert(looked_at.end(), request.paths().begin(), request.paths().end());
        co_return agent::v2::Empty();
    }

    Awaitable<agent::v2::UpdateContainerResponse> update_container(
        ttrpc::CallContext&, const agent::v2::UpdateContainerRequest& request
    ) override {
        co_await enter("update_container");
        resources = request.resources();
        co_return agent::v2::UpdateContainerResponse();
    }

    Awaitable<agent::v2::StatsResponse>
    stats(ttrpc::CallContext&, const agent::v2::StatsRequest&) override {
        co_await enter("stats");
        agent::v2::StatsResponse response;
        (*response.mutable_values())["pids.current"] = 7;
        co_return response;
    }

    agent::v2::ConfigurePodRequest pod;
    agent::v2::Network network; ///< as the host has set it last
    std::string resources;      ///< of the last update
    std::vector<std::string> looked_at;

  private:
    struct Process {
        std::uint64_t number = 0;
        agent::v2::Stdio stdio;
        bool exited = false;
    };

    Awaitable<> enter(std::string rpc) {
        calls.push_back(rpc);
        if (!on_call(rpc)) {
            Event never(executor_);
            co_await never.wait();
        }
    }

    void
    add(const std::string& container,
        const std::string& exec,
        std::uint64_t number,
        const agent::v2::Stdio& stdio) {
        processes_[{container, exec}] = std::make_shared<Process>(Process{number, stdio, false});
    }

    std::shared_ptr<Process> find(const agent::v2::ProcessRef& reference) const {
        const auto found = processes_.find({reference.container_id(), reference.exec_id()});
        if (found == processes_.end()) {
            throw Error(Code::not_found, "no such process: not found");
        }
        return found->second;
    }

    asio::any_io_executor executor_;
    std::map<std::pair<std::string, std::string>, std::shared_ptr<Process>> processes_;
    std::vector<agent::v2::Event> events_; ///< all that there ever were
    Event more_events_;
};

/// A hypervisor whose machines are nothing but a FakeAgent, or what a test puts in its place,
/// behind socket pairs.
class FakeHypervisor : public vm::Hypervisor {
  public:
    explicit FakeHypervisor(const asio::any_io_executor& executor)
        : agent(executor), executor_(executor), died_(executor), tasks_(executor, Logger()) {}

    FakeAgent agent;
    std::function<void()> on_start = [] {}; ///< may throw: the start fails
    std::function<void()> on_hello = [] {}; ///< may throw: the guest does not come up
    std::function<void()> on_dial = [] {};  ///< may throw: the agent cannot be dialled
    /// A device comes while the machine runs; may throw: it does not.
    std::function<void(const vm::Device&)> on_attach = [](const vm::Device&) {};
    /// One goes; may throw: the guest keeps it.
    std::function<void(const std::string&)> on_detach = [](const std::string&) {};
    std::vector<std::string> detached; ///< names of devices that went
    std::string build_id = std::string(cppvm::build_id());
    std::uint32_t protocol_version = wire::protocol_version;
    /// Serves the RPC connection instead of `agent`, until it is cut off.
    std::function<Awaitable<>(StreamSocket)> serve_rpc;
    std::function<void()> on_end = [] {}; ///< the machine ends: `serve_rpc` must
    /// Awaited before a machine ends because it was told to.
    std::function<Awaitable<>()> on_stop = []() -> Awaitable<> { co_return; };
    int machines = 0; ///< that run now
    vm::VmSpec spec;  ///< of the last start

    /// What the host has dialled for anything but RPC, by the number in the preamble, until a test
    /// takes it: stdio streams that it opened or resumed, connections to sockets.
    std::map<std::uint64_t, StreamSocket> streams;
    /// What the agent answers to an attempt to resume a stream.
    std::function<wire::PreambleAnswer(const wire::Preamble&)> on_resume =
        [](const wire::Preamble&) { return wire::PreambleAnswer{}; };

    /// Whether nothing is attached to the share of root file systems.
    bool roots_are_empty() const {
        return !roots_server_ || std::filesystem::is_empty(roots_server_->view(""));
    }

    /// As when QEMU is killed: connections break, waiters wake.
    void kill_machine() {
        died_.set();
        streams.clear();
        tasks_.spawn("cut", cut());
    }

    /// The RPC connection breaks; the machine lives on, and can be dialled.
    void cut_connection() { tasks_.spawn("cut", cut()); }

    /// Must be awaited at the end of a test.
    Awaitable<> stop() {
        if (server_) {
            co_await server_->stop();
        }
        streams.clear();
        co_await tasks_.stop();
    }

    Awaitable<std::unique_ptr<vm::VirtualMachine>> start(vm::VmSpec machine, Deadline) override {
        spec = std::move(machine);
        on_start();
        roots_server_.emplace(spec.share_dir);
        volumes_server_.emplace(spec.share_dir);
        make_server();
        ++machines;
        co_return std::make_unique<Machine>(*this);
    }

  private:
    class Machine : public vm::VirtualMachine {
      public:
        explicit Machine(FakeHypervisor& owner) : owner_(owner), stopped_(owner.executor_) {}

        pid_t pid() const noexcept override { return ::getpid(); }

        storage::ShareServers share_servers() const noexcept override {
            return {owner_.roots_server_->pid(), owner_.volumes_server_->pid()};
        }

        Awaitable<vm::AgentHello> wait_hello(Deadline) override {
            owner_.on_hello();
            vm::AgentHello hello;
            hello.protocol_version = owner_.protocol_version;
            hello.build_id = owner_.build_id;
            hello.kernel_release = "6.1";
            co_return hello;
        }

        Awaitable<StreamSocket> dial(std::uint32_t, Deadline) override {
            if (owner_.died_.is_set()) {
                throw Error(Code::unavailable, "dial: the machine has ended");
            }
            owner_.on_dial();
            asio::local::stream_protocol::socket ours(owner_.executor_);
            asio::local::stream_protocol::socket theirs(owner_.executor_);
            asio::local::connect_pair(ours, theirs);
            owner_.tasks_.spawn("guest", owner_.accept(StreamSocket(std::move(theirs))));
            co_return StreamSocket(std::move(ours));
        }

        Awaitable<> attach(vm::Device device, Deadline) override {
            owner_.on_attach(device);
            co_return;
        }
        Awaitable<> detach(std::string name, Deadline) override {
            owner_.on_detach(name);
            owner_.detached.push_back(std::move(name));
            co_return;
        }

        Awaitable<> wait_gone() override { co_await owner_.died_.wait(); }

        std::string console_tail() const override { return "console: fake"; }

        Awaitable<> stop() override { co_await stopped_.run(end()); }

        std::vector<vm::Phase> phases() const override { return {}; }

      private:
        Awaitable<> end() {
            co_await owner_.on_stop();
            --owner_.machines;
            owner_.roots_server_.reset();
            owner_.volumes_server_.reset();
            owner_.died_.set();
            owner_.on_end();
            co_await owner_.server_->stop();
        }

        FakeHypervisor& owner_;
        RunOnce stopped_;
    };

    Awaitable<> accept(StreamSocket socket);
    void make_server();
    Awaitable<> cut();

    asio::any_io_executor executor_;
    std::unique_ptr<ttrpc::Server> server_;
    std::optional<FakeShareServer> roots_server_;
    std::optional<FakeShareServer> volumes_server_;
    Event died_;
    TaskGroup tasks_;
};

} // namespace cppvm::testing
