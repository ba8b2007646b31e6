#include "common/base/error.hpp"
#include "host/shim/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace cppvm::shim {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Words = std::vector<const char*>;

TEST(CommandLineTest, ReadsWhatContainerdWritesForStart) {
    const CommandLine line = parse_command_line(Words{
        "-namespace",
        "k8s.io",
        "-address",
        "/run/containerd/containerd.sock",
        "-publish-binary",
        "/usr/bin/containerd",
        "-id",
        "c1",
        "-debug",
        "start"
    });
    EXPECT_EQ(line.action, Action::start);
    EXPECT_EQ(line.containerd_namespace, "k8s.io");
    EXPECT_EQ(line.address, "/run/containerd/containerd.sock");
    EXPECT_EQ(line.publish_binary, "/usr/bin/containerd");
    EXPECT_EQ(line.id, "c1");
    EXPECT_TRUE(line.debug);
}

TEST(CommandLineTest, ReadsWhatContainerdWritesForDelete) {
    const CommandLine line = parse_command_line(
        Words{"-namespace", "n", "-address", "a", "-id", "c1", "-bundle", "/b", "delete"}
    );
    EXPECT_EQ(line.action, Action::delete_task);
    EXPECT_EQ(line.bundle, "/b");
    EXPECT_FALSE(line.debug);
}

struct GoodCase {
    const char* name;
    Words words;
    Action action;
    const char* id;
    bool debug;
};

class CommandLineFormTest : public ::testing::TestWithParam<GoodCase> {};

TEST_P(CommandLineFormTest, IsAccepted) {
    const CommandLine line = parse_command_line(GetParam().words);
    EXPECT_EQ(line.action, GetParam().action);
    EXPECT_EQ(line.id, GetParam().id);
    EXPECT_EQ(line.debug, GetParam().debug);
}

const GoodCase good_cases[] = {
    {"Nothing", {}, Action::serve, "", false},
    {"OneDash", {"-id", "x"}, Action::serve, "x", false},
    {"TwoDashes", {"--id", "x", "start"}, Action::start, "x", false},
    {"Equals", {"-id=x", "start"}, Action::start, "x", false},
    {"TwoDashesEquals", {"--id=x", "start"}, Action::start, "x", false},
    {"EqualsInValue", {"-id=x=y"}, Action::serve, "x=y", false},
    {"EmptyValue", {"-id=", "start"}, Action::start, "", false},
    {"EmptyWordAsValue", {"-id", "", "start"}, Action::start, "", false},
    {"ValueLikeAFlag", {"-id", "-debug", "start"}, Action::start, "-debug", false},
    {"LastOneWins", {"-id", "x", "--id=y"}, Action::serve, "y", false},
    {"DashesEndFlags", {"-id", "x", "--", "start"}, Action::start, "x", false},
    {"DashesAtTheEnd", {"-id", "x", "--"}, Action::serve, "x", false},
    {"Switch", {"-debug", "-id", "x"}, Action::serve, "x", true},
    {"SwitchTrue", {"-debug=true", "start"}, Action::start, "", true},
    {"SwitchOne", {"--debug=1", "start"}, Action::start, "", true},
    {"SwitchFalse", {"-debug", "-debug=false", "start"}, Action::start, "", false},
    {"SwitchLetter", {"-debug=F", "start"}, Action::start, "", false},
    {"Info", {"-info"}, Action::info, "", false},
    {"InfoOff", {"-info=false", "start"}, Action::start, "", false},
    {"InfoBesideAction", {"-info", "-id", "x", "start"}, Action::info, "x", false},
    {"V", {"-v"}, Action::version, "", false},
    {"Version", {"--version"}, Action::version, "", false},
    {"Help", {"-help"}, Action::help, "", false},
    {"H", {"-h"}, Action::help, "", false},
};

INSTANTIATE_TEST_SUITE_P(
    All,
    CommandLineFormTest,
    ::testing::ValuesIn(good_cases),
    [](const auto& info) { return std::string(info.param.name); }
);

struct BadCase {
    const char* name;
    Words words;
    const char* message; // how the error begins
};

class CommandLineErrorTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(CommandLineErrorTest, NamesTheWordAndShowsTheUsage) {
    try {
        parse_command_line(GetParam().words);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument);
        EXPECT_THAT(error.message(), ::testing::StartsWith(GetParam().message));
        EXPECT_THAT(error.message(), HasSubstr("; usage: containerd-shim-cppvm-v1 -namespace NS"));
        EXPECT_THAT(error.message(), Not(HasSubstr("\n")));
        EXPECT_LT(error.message().size(), 300U);
    }
}

const std::string long_word(10'000, 'x');

const BadCase bad_cases[] = {
    {"UnknownFlag", {"-color", "red", "start"}, "unknown flag -color;"},
    {"UnknownFlagWithValue", {"--color=red"}, "unknown flag -color;"},
    {"NoValue", {"-namespace", "n", "-id"}, "-id needs a value;"},
    {"ThreeDashes", {"---id", "x"}, "bad flag syntax: ---id;"},
    {"NoName", {"-=x"}, "bad flag syntax: -=x;"},
    {"NoNameTwoDashes", {"--=x"}, "bad flag syntax: --=x;"},
    {"SwitchWithWord", {"-debug=yes"}, "-debug is a switch, not \"yes\";"},
    {"SwitchWithNothing", {"-debug="}, "-debug is a switch, not \"\";"},
    {"UnknownAction", {"-id", "x", "stop"}, "unknown action \"stop\";"},
    {"LoneDash", {"-"}, "unknown action \"-\";"},
    {"EmptyAction", {""}, "unknown action \"\";"},
    {"FlagAfterAction", {"start", "-debug"}, "unexpected \"-debug\" after the action start;"},
    {"TwoActions", {"start", "delete"}, "unexpected \"delete\" after the action start;"},
    {"LongWord", {long_word.c_str()}, "unknown action \"xxxxxxxx"},
    {"LineBreak", {"st\nart"}, "unknown action \"st?art\";"},
};

INSTANTIATE_TEST_SUITE_P(
    All,
    CommandLineErrorTest,
    ::testing::ValuesIn(bad_cases),
    [](const auto& info) { return std::string(info.param.name); }
);

TEST(CommandLineTest, UsageNamesEveryFlag) {
    for (const char* flag :
         {"-namespace",
          "-id",
          "-address",
          "-publish-binary",
          "-bundle",
          "-socket",
          "-debug",
          "-info",
          "-v",
          "-version",
          "-help",
          "start",
          "delete"}) {
        EXPECT_THAT(std::string(usage()), HasSubstr(std::string("  ") + flag)) << flag;
    }
}

} // namespace
} // namespace cppvm::shim
