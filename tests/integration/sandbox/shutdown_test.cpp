// When the Task API's Shutdown is the end of the pod, and when not: containerd up to 1.7 sends one
// with the deletion of every container.

#include "host/api/task_service.hpp"
#include "tests/integration/sandbox/sandbox_fixture.hpp"

namespace cppvm::sandbox {
namespace {

/// The service over a sandbox, and how often it has said that the end has come.
struct ServiceBench {
    explicit ServiceBench(Bench& bench)
        : service(bench.executor, bench.sandbox, [this] { ++shutting_down; }) {}

    /// Whether the pod is undone once the answer is out.
    Awaitable<bool> remove(std::string id) {
        ttrpc::CallContext context;
        ::containerd::task::v3::DeleteRequest request;
        request.set_id(std::move(id));
        co_await service.delete_(context, request);
        co_return static_cast<bool>(context.after_reply);
    }

    Awaitable<bool> shut_down() {
        ttrpc::CallContext context;
        co_await service.shutdown(context, {});
        co_return static_cast<bool>(context.after_reply);
    }

    int shutting_down = 0;
    api::TaskService service;
};

class ShutdownTest : public SandboxTest {
  protected:
    void with_service(std::function<Awaitable<>(ServiceBench&)> body) const {
        with_sandbox(sandbox_spec(), [this, &body](Bench& bench) -> Awaitable<> {
            ServiceBench service(bench);
            bench.sandbox.boot();
            for (const char* id : {"c1", "c2"}) {
                co_await bench.sandbox.create(container(id));
            }
            co_await body(service);
        });
    }
};

TEST_F(ShutdownTest, CountsWithTheLastContainer) {
    with_service([](ServiceBench& bench) -> Awaitable<> {
        EXPECT_FALSE(co_await bench.remove("c1"));
        EXPECT_FALSE(co_await bench.shut_down());
        EXPECT_EQ(bench.shutting_down, 0); // c2 is in the pod: nothing ends
        EXPECT_TRUE(co_await bench.remove("c2"));
        EXPECT_EQ(bench.shutting_down, 1);
        EXPECT_TRUE(co_await bench.shut_down());
    });
}

TEST_F(ShutdownTest, ComesBeforeItsAnswer) {
    with_service([](ServiceBench& bench) -> Awaitable<> {
        EXPECT_FALSE(co_await bench.remove("c1"));
        EXPECT_FALSE(co_await bench.remove("c2"));
        EXPECT_EQ(bench.shutting_down, 0);
        EXPECT_TRUE(co_await bench.shut_down());
        EXPECT_EQ(bench.shutting_down, 1);
    });
}

} // namespace
} // namespace cppvm::sandbox
