// The host's link and pumps against a real agent, over connections that break all the time.

#include "common/os/file.hpp"
#include "host/agent/link.hpp"
#include "host/io/output_pump.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <csignal>
#include <fcntl.h>
#include <functional>
#include <sstream>
#include <sys/socket.h>

namespace cppvm::testing {
namespace {

/// A machine that is nothing but an agent, whose connections can be broken.
class AgentMachine : public vm::VirtualMachine {
  public:
    AgentMachine(const asio::any_io_executor& executor, const AgentProcess& agent)
        : agent_(agent), gone_(executor) {}

    /// Breaks every connection that there is; returns how many there were.
    std::size_t cut() {
        for (const UniqueFd& connection : connections_) {
            ::shutdown(connection.get(), SHUT_RDWR);
        }
        const std::size_t count = connections_.size();
        connections_.clear();
        return count;
    }

    pid_t pid() const noexcept override { return agent_.pid(); }
    storage::ShareServers share_servers() const noexcept override { return {}; }
    Awaitable<vm::AgentHello> wait_hello(Deadline) override { co_return vm::AgentHello(); }

    Awaitable<StreamSocket> dial(std::uint32_t, Deadline) override {
        StreamSocket socket(co_await asio::this_coro::executor);
        const StreamSocket::endpoint_type address =
            asio::local::stream_protocol::endpoint(agent_.socket_path());
        co_await socket.async_connect(address, asio::use_awaitable);
        connections_.emplace_back(::fcntl(socket.native_handle(), F_DUPFD_CLOEXEC, 3));
        co_return socket;
    }

    Awaitable<> attach(vm::Device, Deadline) override { co_return; }
    Awaitable<> detach(std::string, Deadline) override { co_return; }
    Awaitable<> wait_gone() override { co_await gone_.wait(); }
    std::string console_tail() const override { return ""; }
    Awaitable<> stop() override { co_return; }
    std::vector<vm::Phase> phases() const override { return {}; }

  private:
    const AgentProcess& agent_;
    std::vector<UniqueFd> connections_; ///< duplicates
    Event gone_;
};

/// Keeps what is written; breaks connections on the way.
class CuttingSink : public io::OutputSink {
  public:
    CuttingSink(AgentMachine& machine, std::string& text, std::size_t interval)
        : machine_(machine), text_(text), interval_(interval), next_cut_(interval) {}

    Awaitable<> write(std::span<const std::byte> data) override {
        text_.append(reinterpret_cast<const char*>(data.data()), data.size());
        if (text_.size() >= next_cut_) {
            next_cut_ = text_.size() + interval_;
            machine_.cut();
        }
        co_return;
    }
    Awaitable<> finish() override { co_return; }

  private:
    AgentMachine& machine_;
    std::string& text_;
    std::size_t interval_;
    std::size_t next_cut_;
};

class AgentLinkTest : public ::testing::Test {
  protected:
    AgentLinkTest() { agent_.make_rootfs("c1"); }

    /// Runs `body` with a link to the agent.
    void run(std::function<Awaitable<>(AgentMachine&, agent::Link&)> body) {
        co_test(
            [](AgentProcess& process,
               std::function<Awaitable<>(AgentMachine&, agent::Link&)> test) -> Awaitable<> {
                AgentMachine machine(co_await asio::this_coro::executor, process);
                agent::Link::Limits limits;
                limits.pause = std::chrono::milliseconds(1);
                limits.redials = 1000;
                const auto link = co_await agent::Link::open(
                    machine,
                    Logger(),
                    limits,
                    [](const agent::v2::Event&) {},
                    deadline_in(std::chrono::seconds(10))
                );
                std::exception_ptr failure;
                try {
                    co_await test(machine, *link);
                } catch (...) {
                    failure = std::current_exception();
                }
                co_await link->stop();
                if (failure) {
                    std::rethrow_exception(failure);
                }
            }(agent_, std::move(body)),
            std::chrono::seconds(50)
        );
    }

    static Deadline soon() { return deadline_in(std::chrono::seconds(10)); }

    Awaitable<std::shared_ptr<agent::GuestProcess>>
    create(agent::Link& link, const std::string& script, std::uint64_t stdout_stream) {
        auto process = link.new_process();
        agent::v2::CreateContainerRequest request;
        request.set_container_id("c1");
        request.set_spec(make_script_spec(agent_, "c1", script).dump());
        request.mutable_stdio()->set_stdout_stream(stdout_stream);
        request.set_process_number(process->number);
        co_await link.call(&agent::v2::AgentClient::create_container, request, soon());
        co_return process;
    }

    static Awaitable<> start(agent::Link& link) {
        agent::v2::StartContainerRequest request;
        request.set_container_id("c1");
        co_await link.call(&agent::v2::AgentClient::start_container, request, soon());
    }

    static Awaitable<> remove(agent::Link& link) {
        agent::v2::ProcessRef reference;
        reference.set_container_id("c1");
        co_await link.call(
            &agent::v2::AgentClient::delete_process, reference, soon(), agent::Repeat::yes
        );
    }

    AgentProcess agent_;
};

TEST_F(AgentLinkTest, LosesNothingOfAStream) {
    run([this](AgentMachine& machine, agent::Link& link) -> Awaitable<> {
        constexpr int count = 20'000;
        const std::uint64_t id = link.new_stream_id();
        std::string text;
        io::OutputPump pump(
            {co_await link.open_stream(id, soon()),
             [&link, id](std::uint64_t received) { return link.resume_stream(id, received); }},
            std::make_unique<CuttingSink>(machine, text, 5'000),
            Logger()
        );
        const auto process =
            co_await create(link, "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done", id);
        co_await start(link);
        co_await pump.copy();
        std::istringstream lines(text);
        int expected = 0;
        for (int number = 0; lines >> number && number == expected; ++expected) {
        }
        EXPECT_EQ(expected, count);
        co_await process->exited.wait();
        EXPECT_EQ(process->exit_status, 0U);
        co_await remove(link);
    });
}

TEST_F(AgentLinkTest, HearsOfAnExitThatHappenedMeanwhile) {
    run([this](AgentMachine& machine, agent::Link& link) -> Awaitable<> {
        const auto process = co_await create(link, "sleep 1000", 0);
        co_await start(link);
        agent::v2::SignalProcessRequest request;
        request.mutable_process()->set_container_id("c1");
        request.set_signal(SIGKILL);
        // The call that ends it is the last on its connection.
        co_await link.call(&agent::v2::AgentClient::signal_process, request, soon());
        EXPECT_GE(machine.cut(), 1U);
        co_await process->exited.wait();
        EXPECT_EQ(process->exit_status, 137U);
        co_await remove(link);
    });
}

TEST_F(AgentLinkTest, GivesUpAnAgentThatIsGone) {
    run([this](AgentMachine& machine, agent::Link& link) -> Awaitable<> {
        ::kill(agent_.pid(), SIGKILL);
        machine.cut();
        const std::string reason = co_await link.wait_lost();
        EXPECT_THAT(reason, ::testing::HasSubstr("the connection to the guest agent is lost"));
        agent::v2::ProcessRef reference;
        const Status status = co_await failure_of(
            link.call(&agent::v2::AgentClient::delete_process, reference, soon())
        );
        EXPECT_EQ(status.code, Code::unavailable);
    });
}

} // namespace
} // namespace cppvm::testing
