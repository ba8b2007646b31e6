#include "common/base/build_id.hpp"
#include "common/base/error.hpp"
#include "host/cli/arguments.hpp"
#include "host/cli/commands.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>

#include <sstream>

namespace cppvm::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ArgumentsTest, TakesOptionsInBothFormsFlagsAndTheRest) {
    const Arguments arguments(
        {"a", "--x", "1", "--y=2=3", "--f", "--", "--x"}, {"--x", "--y", "--z"}, {"--f", "--g"}
    );
    EXPECT_EQ(arguments.option("--x"), "1");
    EXPECT_EQ(arguments.option("--y"), "2=3");
    EXPECT_EQ(arguments.option("--z"), std::nullopt);
    EXPECT_TRUE(arguments.flag("--f"));
    EXPECT_FALSE(arguments.flag("--g"));
    EXPECT_THAT(arguments.rest(), ElementsAre("a", "--x"));
    EXPECT_THROW(arguments.expect_no_rest(), Error);
}

TEST(ArgumentsTest, RefusesWhatItDoesNotKnow) {
    EXPECT_THROW(Arguments({"--q"}, {"--x"}), Error);
    EXPECT_THROW(Arguments({"--x"}, {"--x"}), Error);
    EXPECT_THROW(Arguments({"--f=1"}, {}, {"--f"}), Error);
    EXPECT_THROW(Arguments({"-x"}, {"--x"}), Error);
}

struct Result {
    int code;
    std::string out;
    std::string errors;
};

Result run_words(const std::vector<std::string>& words) {
    std::ostringstream out;
    std::ostringstream errors;
    const int code = run(words, out, errors);
    return {code, out.str(), errors.str()};
}

TEST(CommandsTest, PrintsHelp) {
    EXPECT_EQ(run_words({}).code, 2);
    const Result help = run_words({"--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, HasSubstr("cppvm check"));
    EXPECT_THAT(help.out, HasSubstr("cppvm image build"));
}

TEST(CommandsTest, PrintsTheVersion) {
    for (const char* word : {"version", "--version", "-v"}) {
        const Result result = run_words({word});
        EXPECT_EQ(result.code, 0);
        EXPECT_THAT(result.out, HasSubstr(std::string(build_id())));
    }
}

TEST(CommandsTest, NamesUnknownCommandsAndWrongUsage) {
    EXPECT_EQ(run_words({"frobnicate"}).code, 2);
    EXPECT_THAT(run_words({"frobnicate"}).errors, HasSubstr("frobnicate"));
    const Result result = run_words({"image", "burn"});
    EXPECT_EQ(result.code, 2);
    EXPECT_THAT(result.errors, HasSubstr("usage: cppvm image build"));
    EXPECT_EQ(run_words({"check", "--confg", "x"}).code, 2);
    EXPECT_EQ(run_words({"image", "build", "--kernel-deb=a", "--kernel-package=b"}).code, 2);
    EXPECT_EQ(run_words({"image", "build", "--kernel-deb=a", "--kernel-tree=b"}).code, 2);
}

TEST(CommandsTest, CheckNamesEachRequirementWithItsRemedyAndFails) {
    const testing::TempDir directory;
    const auto file = directory.write(
        "config.toml",
        "[vm]\nkernel = \"/nowhere/vmlinuz\"\n[hypervisor]\nlibvirt_helper = \"/no\"\n"
    );
    const Result result = run_words({"check", "--config", file});
    EXPECT_EQ(result.code, 1);
    for (const char* name : {"KVM", "vsock", "QEMU", "virtiofsd", "libvirtd", "memory"}) {
        EXPECT_THAT(result.out, HasSubstr(name));
    }
    EXPECT_THAT(result.out, HasSubstr("/nowhere/vmlinuz: No such file"));
    EXPECT_THAT(result.out, HasSubstr("-> build it: cppvm image build"));
}

TEST(CommandsTest, ImageBuildNamesAnAgentThatIsNotThere) {
    const Result result = run_words({"image", "build", "--agent", "/nowhere/agent"});
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.errors, HasSubstr("/nowhere/agent"));
}

} // namespace
} // namespace cppvm::cli
