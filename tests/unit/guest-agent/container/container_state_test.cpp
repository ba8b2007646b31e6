#include "common/base/error.hpp"
#include "guest-agent/container/container_state.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace cppvm::guest {
namespace {

using State = ContainerState;

/// A container in each of its states, by name.
std::vector<std::pair<std::string, State>> every_state() {
    std::vector<std::pair<std::string, State>> states;
    State state("c1");
    states.emplace_back("creating", state);
    state.finish_create();
    states.emplace_back("created", state);
    State never_started = state;
    state.start();
    states.emplace_back("running", state);
    state.end();
    states.emplace_back("ending", state);
    state.exit();
    states.emplace_back("exited", state);
    never_started.remove();
    states.emplace_back("removing", never_started);
    return states;
}

/// Tries an operation in each state; gives what was refused, with the words.
std::vector<std::string> refused(const std::function<void(State&)>& operation) {
    std::vector<std::string> texts;
    for (auto& [name, state] : every_state()) {
        try {
            operation(state);
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::failed_precondition);
            texts.push_back(name + ": " + error.message());
        }
    }
    return texts;
}

TEST(ContainerStateTest, GoesFromCreateToDelete) {
    State state("c1");
    EXPECT_TRUE(state.is<State::Creating>());
    state.finish_create();
    EXPECT_TRUE(state.is<State::Created>());
    state.start();
    EXPECT_TRUE(state.is<State::Running>());
    state.check_running();
    state.check_exec();
    state.end();
    EXPECT_TRUE(state.is<State::Ending>());
    state.exit();
    EXPECT_TRUE(state.is<State::Exited>());
    state.remove();
    EXPECT_TRUE(state.is<State::Removing>());
}

TEST(ContainerStateTest, CanBeDeletedWithoutAStart) {
    State state("c1");
    state.finish_create();
    state.remove();
    EXPECT_TRUE(state.is<State::Removing>());
}

TEST(ContainerStateTest, CanEndBeforeItsStart) {
    State state("c1");
    state.finish_create();
    state.end();
    state.exit();
    EXPECT_TRUE(state.is<State::Exited>());
    EXPECT_THROW(state.start(), Error);
}

TEST(ContainerStateTest, IsGivenUpOnlyWhileItIsMade) {
    for (auto& [name, state] : every_state()) {
        const bool creating = state.is<State::Creating>();
        const bool removing = state.is<State::Removing>();
        state.give_up();
        EXPECT_EQ(state.is<State::Removing>(), creating || removing) << name;
    }
}

TEST(ContainerStateTest, StartsOnce) {
    const std::string words = ": container c1: init was started before, or has ended";
    EXPECT_EQ(
        refused([](State& state) { state.start(); }),
        (std::vector<std::string>{
            "creating" + words,
            "running" + words,
            "ending" + words,
            "exited" + words,
            "removing" + words
        })
    );
}

TEST(ContainerStateTest, TakesExecsFromItsCreationOn) {
    const std::string words = ": container c1 init process is not running";
    EXPECT_EQ(
        refused([](State& state) { state.check_exec(); }),
        (std::vector<std::string>{
            "creating" + words, "ending" + words, "exited" + words, "removing" + words
        })
    );
}

TEST(ContainerStateTest, IsFrozenOnlyWhileItRuns) {
    const std::string words = ": container c1 init process is not running";
    EXPECT_EQ(
        refused([](State& state) { state.check_running(); }),
        (std::vector<std::string>{
            "creating" + words,
            "created" + words,
            "ending" + words,
            "exited" + words,
            "removing" + words
        })
    );
}

TEST(ContainerStateTest, IsNotDeletedWhileSomethingOfItRuns) {
    EXPECT_EQ(
        refused([](State& state) { state.remove(); }),
        (std::vector<std::string>{
            "creating: delete container c1: is being created",
            "running: delete container c1: the process is running; kill it first",
            "ending: delete container c1: the process is running; kill it first",
            "removing: delete container c1: is being deleted"
        })
    );
}

// The end of an init may come at any time, also when it matters to nobody any more.
TEST(ContainerStateTest, TakesEveryEndAtAnyTime) {
    for (auto& [name, state] : every_state()) {
        const bool lives = state.is<State::Created>() || state.is<State::Running>();
        const bool ending = state.is<State::Ending>();
        State ended = state;
        ended.end();
        EXPECT_EQ(ended.is<State::Ending>(), lives || ending) << name;
        State exited = state;
        const bool was_exited = state.is<State::Exited>();
        exited.exit();
        EXPECT_EQ(exited.is<State::Exited>(), ending || was_exited) << name;
    }
}

} // namespace
} // namespace cppvm::guest
