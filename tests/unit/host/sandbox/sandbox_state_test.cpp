#include "common/base/error.hpp"
#include "host/sandbox/sandbox_state.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace cppvm::sandbox {
namespace {

class SandboxStateTest : public ::testing::Test {
  protected:
    static Status status_of(const std::function<void()>& call) {
        try {
            call();
        } catch (...) {
            return to_status(std::current_exception());
        }
        return {};
    }
    Status usable() const {
        return status_of([this] { state_.check_usable(); });
    }
    Status call() const {
        return status_of([this] { state_.agent(); });
    }
    Status create() const {
        return status_of([this] { state_.check_takes_tasks("create task c1"); });
    }
    static std::exception_ptr failure() {
        return std::make_exception_ptr(Error(Code::deadline_exceeded, "boot sandbox s1: no hello"));
    }
    // No link, but somebody's.
    static AgentHandle handle() {
        static const auto owner = std::make_shared<int>(0);
        return {owner, reinterpret_cast<agent::Link*>(owner.get())};
    }

    SandboxStateTest() { state_.boot(); }

    SandboxState state_{"s1"};
};

TEST_F(SandboxStateTest, WaitsUntilItIsKnownWhatToBoot) {
    state_ = SandboxState("s1");
    EXPECT_TRUE(state_.is<SandboxState::Waiting>());
    EXPECT_EQ(create().code, Code::failed_precondition);
    EXPECT_EQ(
        create().message,
        "create task c1: the sandbox has not been created: its bundle has no config.json with a "
        "process, so CreateSandbox comes first"
    );
    EXPECT_EQ(call().code, Code::failed_precondition);
    EXPECT_FALSE(state_.connect(handle()));
    EXPECT_FALSE(state_.run());
    EXPECT_FALSE(state_.fail(failure()));
    EXPECT_FALSE(state_.end("nothing runs yet"));
    EXPECT_TRUE(state_.boot());
    EXPECT_FALSE(state_.boot());
    EXPECT_TRUE(state_.is<SandboxState::Booting>());
}

TEST_F(SandboxStateTest, BootsFirst) {
    EXPECT_TRUE(state_.is<SandboxState::Booting>());
    EXPECT_EQ(usable().code, Code::ok);
    EXPECT_EQ(create().code, Code::ok);
    EXPECT_EQ(call().code, Code::failed_precondition);
    EXPECT_EQ(call().message, "sandbox s1 is still booting");
    EXPECT_EQ(state_.connection(), nullptr);
    EXPECT_EQ(state_.reason(), "");
    EXPECT_FALSE(state_.end("nothing runs yet")); // the boot reports it
    EXPECT_TRUE(state_.is<SandboxState::Booting>());
}

TEST_F(SandboxStateTest, RunsUntilItsMachineEnds) {
    state_.connect(handle());
    EXPECT_TRUE(state_.is<SandboxState::Booting>());
    EXPECT_EQ(call().code, Code::failed_precondition); // not before its boot is over
    EXPECT_TRUE(state_.run());
    EXPECT_TRUE(state_.is<SandboxState::Running>());
    EXPECT_EQ(state_.agent(), handle());
    EXPECT_FALSE(state_.run());
    EXPECT_FALSE(state_.fail(failure()));

    EXPECT_TRUE(state_.end("it ended by itself"));
    EXPECT_TRUE(state_.is<SandboxState::Ended>());
    EXPECT_FALSE(state_.end("a second reason"));
    EXPECT_EQ(state_.reason(), "it ended by itself");
    EXPECT_EQ(state_.connection(), handle());
    const std::string message = "the VM of sandbox s1 has been ended: it ended by itself; recreate "
                                "the pod or container";
    EXPECT_EQ(usable().code, Code::unavailable);
    EXPECT_EQ(usable().message, message);
    EXPECT_EQ(call().message, message);
    EXPECT_EQ(create().code, Code::ok); // and then fails for the reason
}

TEST_F(SandboxStateTest, FailsForGood) {
    state_.connect(handle());
    EXPECT_TRUE(state_.fail(failure()));
    EXPECT_TRUE(state_.is<SandboxState::Failed>());
    EXPECT_FALSE(state_.run());
    EXPECT_FALSE(state_.end("it ended by itself"));
    EXPECT_EQ(usable().code, Code::deadline_exceeded);
    EXPECT_EQ(call().message, "boot sandbox s1: no hello");
    EXPECT_EQ(state_.reason(), "boot sandbox s1: no hello");
    EXPECT_EQ(state_.connection(), handle());
}

TEST_F(SandboxStateTest, StopsInAnyState) {
    for (int before = -1; before < 4; ++before) {
        SandboxState state("s1");
        if (before >= 0) {
            state.boot();
        }
        if (before > 0) {
            state.connect(handle());
        }
        if (before == 1) {
            state.fail(failure());
        } else if (before > 1) {
            state.run();
        }
        if (before == 3) {
            state.end("it ended by itself");
        }
        state.stop();
        state.stop();
        EXPECT_TRUE(state.is<SandboxState::Stopping>());
        EXPECT_EQ(state.connection(), before > 0 ? handle() : nullptr);
        state.connect(nullptr);
        EXPECT_EQ(state.connection(), before > 0 ? handle() : nullptr);
        EXPECT_FALSE(state.boot());
        EXPECT_FALSE(state.run());
        EXPECT_FALSE(state.fail(failure()));
        EXPECT_FALSE(state.end("too late"));
        EXPECT_EQ(state.reason(), "");
        state_ = state;
        EXPECT_EQ(create().code, Code::failed_precondition);
        EXPECT_EQ(create().message, "create task c1: the sandbox is stopping");
        EXPECT_EQ(usable().code, Code::cancelled);
        EXPECT_EQ(call().message, "sandbox s1 was stopped");
    }
}

} // namespace
} // namespace cppvm::sandbox
