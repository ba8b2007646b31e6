#include "common/base/error.hpp"
#include "host/sandbox/pod_state.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace cppvm::sandbox {
namespace {

using Time = PodState::Time;

const Time created{std::chrono::seconds(1000)};
const Time ended{std::chrono::seconds(2000)};

/// How each state is come to.
struct Way {
    std::string name;
    std::function<void(PodState&)> go;
};

void create(PodState& state) {
    state.create(created);
}
void begin_start(PodState& state) {
    create(state);
    state.begin_start();
}
void be_ready(PodState& state) {
    begin_start(state);
    state.finish_start(42);
}

const std::vector<Way>& ways() {
    static const std::vector<Way> all = {
        {"absent", [](PodState&) {}},
        {"created", create},
        {"starting", begin_start},
        {"ready", be_ready},
        {"stopping",
         [](PodState& state) {
             be_ready(state);
             state.begin_stop();
         }},
        {"ended",
         [](PodState& state) {
             be_ready(state);
             state.end(ended);
         }},
        {"never created",
         [](PodState& state) {
             state.begin_stop();
             state.end(ended);
         }},
    };
    return all;
}

std::string name_of(const PodState& state) {
    const std::pair<bool, const char*> names[] = {
        {state.is<PodState::Absent>(), "absent"},
        {state.is<PodState::Created>(), "created"},
        {state.is<PodState::Starting>(), "starting"},
        {state.is<PodState::Ready>(), "ready"},
        {state.is<PodState::Stopping>(), "stopping"},
    };
    for (const auto& [is, name] : names) {
        if (is) {
            return name;
        }
    }
    return "ended";
}

/// What an operation answers: "yes", "no" or the code of its error; and the state after it.
std::string outcome(PodState& state, const std::function<bool(PodState&)>& operation) {
    std::string result;
    try {
        result = operation(state) ? "yes" : "no";
    } catch (const Error& error) {
        result = code_text(error.code());
    }
    return result + ", " + name_of(state);
}

/// Of one operation in each state, in the order of `ways`.
std::vector<std::string> outcomes(const std::function<bool(PodState&)>& operation) {
    std::vector<std::string> all;
    for (const Way& way : ways()) {
        PodState state("s1");
        way.go(state);
        all.push_back(outcome(state, operation));
    }
    return all;
}

using Table = std::vector<std::string>;

TEST(PodStateTest, IsCreatedOnce) {
    const auto operation = [](PodState& state) {
        state.create(created);
        return true;
    };
    EXPECT_EQ(
        outcomes(operation),
        (Table{
            "yes, created",
            "already exists, created",
            "already exists, starting",
            "already exists, ready",
            "already exists, stopping",
            "already exists, ended",
            "already exists, ended",
        })
    );
}

TEST(PodStateTest, IsStartedOnceAfterItsCreation) {
    const auto operation = [](PodState& state) {
        state.begin_start();
        return true;
    };
    EXPECT_EQ(
        outcomes(operation),
        (Table{
            "failed precondition, absent",
            "yes, starting",
            "failed precondition, starting",
            "failed precondition, ready",
            "failed precondition, stopping",
            "failed precondition, ended",
            "failed precondition, ended",
        })
    );
}

TEST(PodStateTest, IsReadyOnlyIfItsStartWasNotOvertaken) {
    EXPECT_EQ(
        outcomes([](PodState& state) { return state.finish_start(7); }),
        (Table{
            "no, absent",
            "no, created",
            "yes, ready",
            "no, ready",
            "no, stopping",
            "no, ended",
            "no, ended",
        })
    );
}

TEST(PodStateTest, IsStoppedInWhateverState) {
    EXPECT_EQ(
        outcomes([](PodState& state) { return state.begin_stop(); }),
        (Table{
            "yes, stopping",
            "yes, stopping",
            "yes, stopping",
            "yes, stopping",
            "no, stopping",
            "no, ended",
            "no, ended",
        })
    );
}

TEST(PodStateTest, EndsOnce) {
    EXPECT_EQ(
        outcomes([](PodState& state) { return state.end(ended); }),
        (Table{
            "no, absent",
            "yes, ended",
            "yes, ended",
            "yes, ended",
            "yes, ended",
            "no, ended",
            "no, ended",
        })
    );
}

TEST(PodStateTest, IsAskedAboutOnlyOnceItExists) {
    const auto operation = [](PodState& state) {
        state.check_created("look at");
        return true;
    };
    EXPECT_EQ(
        outcomes(operation),
        (Table{
            "failed precondition, absent",
            "yes, created",
            "yes, starting",
            "yes, ready",
            "yes, stopping",
            "yes, ended",
            "yes, ended",
        })
    );
}

TEST(PodStateTest, EndsWithZeroWhereItWasStopped) {
    PodState stopped("s1");
    be_ready(stopped);
    stopped.begin_stop();
    EXPECT_FALSE(stopped.exit());
    stopped.end(ended);
    EXPECT_EQ(stopped.exit(), (Exit{0, ended}));
    PodState died("s1");
    be_ready(died);
    died.end(ended);
    died.end(created);
    EXPECT_EQ(died.exit(), (Exit{137, ended}));
}

TEST(PodStateTest, RemembersPidAndTime) {
    PodState state("s1");
    EXPECT_FALSE(state.created_at());
    be_ready(state);
    state.end(ended);
    EXPECT_EQ(state.created_at(), created);
    EXPECT_EQ(state.pid(), 42);
}

TEST(PodStateTest, NamesTheStateInItsErrors) {
    PodState state("s1");
    be_ready(state);
    try {
        state.begin_start();
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "start sandbox s1: it is already running");
    }
}

} // namespace
} // namespace cppvm::sandbox
