#include "common/base/error.hpp"
#include "common/oci/spec_json.hpp"
#include "tests/unit/common/oci/whole_spec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace cppvm::oci {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::string spec_with(const std::string& members) {
    std::string text = R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},)"
                       R"("process":{"args":["sh"],"cwd":"/"})";
    return text + (members.empty() ? "}" : "," + members + "}");
}

std::string process_with(const std::string& members) {
    return R"({"args":["sh"],"cwd":"/",)" + members + "}";
}

template <class F>
std::string failure_of(F parse) {
    try {
        parse();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument);
        return error.message();
    }
    return "nothing was thrown";
}

TEST(ParseSpecTest, ReadsEveryPart) {
    const auto parsed = parse_spec(whole_spec);
    const Spec& spec = parsed.value;
    EXPECT_THAT(parsed.unsupported, IsEmpty());
    EXPECT_EQ(spec.root.path, "/share/rootfs");
    EXPECT_TRUE(spec.root.readonly);
    EXPECT_EQ(spec.process.console_size->width, 80U);
    EXPECT_EQ(spec.process.user.umask, 077U);
    EXPECT_THAT(spec.process.user.additional_gids, ElementsAre(1, 2));
    EXPECT_THAT(spec.process.capabilities->ambient, ElementsAre("CAP_CHOWN"));
    EXPECT_EQ(spec.process.rlimits.at(0).hard, ~std::uint64_t{0});
    EXPECT_EQ(spec.process.oom_score_adj, -999);
    EXPECT_THAT(spec.mounts.at(0).options, ElementsAre("ro"));
    EXPECT_EQ(spec.linux_part.namespaces.at(0).path, "/p");
    EXPECT_EQ(spec.linux_part.time_offsets.at("boottime").secs, -4);
    EXPECT_EQ(spec.linux_part.uid_mappings.at(0).host_id, 1000U);
    EXPECT_EQ(spec.linux_part.devices.at(0).file_mode, 0666U);
    EXPECT_EQ(spec.linux_part.resources.memory.swap, -1);
    EXPECT_EQ(spec.linux_part.resources.cpu.cpus, "0-1");
    EXPECT_EQ(spec.linux_part.resources.unified.at("memory.high"), "max");
}

TEST(ParseSpecTest, ReportsWhatItDoesNotKnowAndSaysSomething) {
    const auto parsed = parse_spec(spec_with(
        R"("hooks":{"later":[{"path":"/x"}]},"linux":{"seccomp":{"defaultAction":"X","listenerPath":"/x"},)"
        R"("intelRdt":{},"mountLabel":"","resources":{"network":{"classID":1},)"
        R"("memory":{"swappiness":0,"disableOOMKiller":false}}})"
    ));
    EXPECT_THAT(
        parsed.unsupported,
        ElementsAre(
            "hooks.later",
            "linux.resources.memory.swappiness",
            "linux.resources.network",
            "linux.seccomp.listenerPath"
        )
    );
}

TEST(ParseSpecTest, ReadsHooksOfTheHost) {
    const auto parsed = parse_spec(
        spec_with(R"("hooks":{"prestart":[{"path":"/x","args":["y"],"env":["A=b"],"timeout":7}],)"
                  R"("poststop":[{"path":"/z"}]})")
    );
    EXPECT_TRUE(parsed.unsupported.empty());
    EXPECT_THAT(parsed.value.hooks.prestart, ElementsAre(Hook{"/x", {"y"}, {"A=b"}, 7}));
    EXPECT_THAT(parsed.value.hooks.poststop, ElementsAre(Hook{"/z", {}, {}, std::nullopt}));
    EXPECT_THROW(parse_spec(spec_with(R"("hooks":{"prestart":[{"path":"x"}]})")), Error);
    EXPECT_THROW(
        parse_spec(spec_with(R"("hooks":{"poststop":[{"path":"/x","timeout":0}]})")), Error
    );
}

TEST(ParseSpecTest, NamesAMemberWithoutAName) {
    const auto parsed = parse_spec(spec_with(R"("":{"a":1},"linux":{"":true})"));
    EXPECT_THAT(parsed.unsupported, ElementsAre("linux.\"\"", "\"\""));
}

TEST(WriteSpecTest, LosesNothing) {
    // Compared as JSON, which shows a member that is in no table, too.
    EXPECT_EQ(
        nlohmann::json::parse(write_spec(parse_spec(whole_spec).value)),
        nlohmann::json::parse(whole_spec)
    );
}

TEST(WriteSpecTest, LeavesOutWhatSaysNothing) {
    const auto parsed = parse_process(process_with(
        R"("terminal":false,"env":[],"oomScoreAdj":0,"capabilities":{},"user":{"uid":0})"
    ));
    EXPECT_EQ(
        write_process(parsed.value),
        R"({"user":{"uid":0,"gid":0},"args":["sh"],"cwd":"/","capabilities":{},"oomScoreAdj":0})"
    );
    EXPECT_EQ(parse_process(write_process(parsed.value)).value, parsed.value);
}

TEST(ParseSpecTest, TakesNullForAbsent) {
    const auto parsed = parse_spec(spec_with(R"("mounts":null,"linux":{"resources":null})"));
    EXPECT_THAT(parsed.value.mounts, IsEmpty());
}

struct BadSpec {
    std::string name;
    std::string text;
    std::string message; ///< how the error starts
};

class BadSpecTest : public ::testing::TestWithParam<BadSpec> {};

TEST_P(BadSpecTest, NamesThePath) {
    EXPECT_THAT(failure_of([] { parse_spec(GetParam().text); }), StartsWith(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    ParseSpecTest,
    BadSpecTest,
    ::testing::Values(
        BadSpec{"Empty", "", "config: is not JSON"},
        BadSpec{"Noise", "\x01\x02{", "config: is not JSON"},
        BadSpec{"Truncated", R"({"ociVersion":)", "config: is not JSON"},
        BadSpec{"TrailingText", spec_with("") + "x", "config: is not JSON"},
        BadSpec{"BadUtf8", spec_with("\"hostname\":\"\xff\""), "config: is not JSON"},
        BadSpec{
            "HugeNumber",
            spec_with("\"x\":" + std::string(400, '9')),
            "config: has a number that is too large"
        },
        BadSpec{
            "HugeExponent", spec_with("\"x\":-1e9999"), "config: has a number that is too large"
        },
        BadSpec{"NotAnObject", "[]", "config: must be an object"},
        BadSpec{"NoVersion", "{}", "ociVersion: is missing"},
        BadSpec{"OtherVersion", R"({"ociVersion":"2.0"})", "ociVersion: must be 1.x, is '2.0'"},
        BadSpec{"NoRoot", R"({"ociVersion":"1.0"})", "root: is missing"},
        BadSpec{"NoProcess", R"({"ociVersion":"1.0","root":{"path":"/r"}})", "process: is missing"},
        BadSpec{"NoRootPath", R"({"ociVersion":"1.0","root":{}})", "root.path: is missing"},
        BadSpec{"MountsNotArray", spec_with(R"("mounts":{})"), "mounts: must be an array"},
        BadSpec{
            "RelativeDestination",
            spec_with(R"("mounts":[{"destination":"proc"}])"),
            "mounts[0].destination: must be an absolute path, is 'proc'"
        },
        BadSpec{
            "DestinationOfTheRoot",
            spec_with(R"("mounts":[{"destination":"//a/.."}])"),
            "mounts[0].destination: must not be the root itself, which root.path gives"
        },
        BadSpec{
            "OptionNotText",
            spec_with(R"("mounts":[{"destination":"/p","options":[1]}])"),
            "mounts[0].options[0]: must be a string"
        },
        BadSpec{
            "NulInText",
            spec_with("\"hostname\":\"a\\u0000b\""),
            "hostname: must not contain a NUL character"
        },
        BadSpec{
            "NamespaceWithoutType",
            spec_with(R"("linux":{"namespaces":[{"type":"pid"},{}]})"),
            "linux.namespaces[1].type: is missing"
        },
        BadSpec{
            "DeviceType",
            spec_with(R"("linux":{"devices":[{"path":"/dev/x","type":"q"}]})"),
            "linux.devices[0].type: must be c, u, b or p"
        },
        BadSpec{
            "RelativeMaskedPath",
            spec_with(R"("linux":{"maskedPaths":["/a","b"]})"),
            "linux.maskedPaths[1]: must be an absolute path"
        },
        BadSpec{
            "SysctlNotText",
            spec_with(R"("linux":{"sysctl":{"net.a":1}})"),
            "linux.sysctl.net.a: must be a string"
        },
        BadSpec{
            "NegativeMappingSize",
            spec_with(R"("linux":{"uidMappings":[{"size":-1}]})"),
            "linux.uidMappings[0].size: is out of range"
        },
        BadSpec{
            "LimitTooLarge",
            spec_with(R"("linux":{"resources":{"memory":{"limit":9223372036854775808}}})"),
            "linux.resources.memory.limit: is out of range"
        }
    ),
    [](const auto& entry) { return entry.param.name; }
);

class BadProcessTest : public ::testing::TestWithParam<BadSpec> {};

TEST_P(BadProcessTest, NamesThePath) {
    EXPECT_THAT(failure_of([] { parse_process(GetParam().text); }), StartsWith(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    ParseProcessTest,
    BadProcessTest,
    ::testing::Values(
        BadSpec{"NoArgs", R"({"cwd":"/"})", "process.args: is missing"},
        BadSpec{"EmptyArgs", R"({"args":[],"cwd":"/"})", "process.args: must not be empty"},
        BadSpec{"EmptyProgram", R"({"args":[""],"cwd":"/"})", "process.args: must not be empty"},
        BadSpec{"NoCwd", R"({"args":["a"]})", "process.cwd: is missing"},
        BadSpec{
            "RelativeCwd", R"({"args":["a"],"cwd":"x"})", "process.cwd: must be an absolute path"
        },
        BadSpec{
            "TerminalNotFlag", process_with(R"("terminal":1)"), "process.terminal: must be true"
        },
        BadSpec{"NegativeUid", process_with(R"("user":{"uid":-1})"), "process.user.uid: is out of"},
        BadSpec{
            "LargeUid", process_with(R"("user":{"uid":4294967296})"), "process.user.uid: is out"
        },
        BadSpec{
            "FractionalUid",
            process_with(R"("user":{"uid":1.5})"),
            "process.user.uid: must be an integer"
        },
        BadSpec{"Umask", process_with(R"("user":{"umask":512})"), "process.user.umask: is out of"},
        BadSpec{
            "Groups",
            process_with(R"("user":{"additionalGids":["x"]})"),
            "process.user.additionalGids[0]: must be an integer"
        },
        BadSpec{
            "RlimitNoType",
            process_with(R"("rlimits":[{"soft":1,"hard":1}])"),
            "process.rlimits[0].type: is missing"
        },
        BadSpec{
            "RlimitNoSoft",
            process_with(R"("rlimits":[{"type":"RLIMIT_AS","hard":1}])"),
            "process.rlimits[0].soft: is missing"
        },
        BadSpec{"OomScore", process_with(R"("oomScoreAdj":1001)"), "process.oomScoreAdj: must be"}
    ),
    [](const auto& entry) { return entry.param.name; }
);

TEST(ParseProcessTest, ReportsUnsupportedWithItsPath) {
    const auto parsed = parse_process(process_with(R"("apparmorProfile":"x","selinuxLabel":"")"));
    EXPECT_THAT(parsed.unsupported, ElementsAre("process.apparmorProfile"));
}

TEST(ParseSpecTest, RefusesDeepNesting) {
    std::string text = "\"annotations\":";
    for (int i = 0; i < 100000; ++i) {
        text += "[";
    }
    EXPECT_THAT(
        failure_of([&] { parse_spec(spec_with(text)); }), HasSubstr("nested deeper than 32 levels")
    );
}

TEST(ParseSpecTest, RefusesLargeText) {
    const std::string text(max_spec_bytes + 1, ' ');
    EXPECT_THAT(failure_of([&] { parse_spec(text); }), HasSubstr("bytes, limit is"));
}

} // namespace
} // namespace cppvm::oci
