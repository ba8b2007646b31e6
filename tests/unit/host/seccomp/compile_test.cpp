#include "common/oci/spec_json.hpp"
#include "host/seccomp/compile.hpp"
#include "tests/support/failure_of.hpp"
#include "tests/support/under_seccomp.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <sys/socket.h>

namespace cppvm::seccomp {
namespace {

using testing::error_of;
using testing::failure_of;
using ::testing::StartsWith;
using testing::under;

oci::Seccomp profile_of(const std::string& json) {
    const auto parsed = oci::parse_spec(
        R"({"ociVersion":"1.0.2","root":{"path":"/r"},"process":{"args":["x"],"cwd":"/"},)"
        R"("linux":{"seccomp":)" +
        json + "}}"
    );
    EXPECT_THAT(parsed.unsupported, ::testing::IsEmpty());
    return *parsed.value.linux_part.seccomp;
}

std::vector<sock_filter> program_of(const std::string& json) {
    return compile(profile_of(json)).instructions;
}

std::string with_rule(const std::string& rule) {
    return R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[)" + rule + "]}";
}

int change_directory() {
    return error_of(::chdir("/"));
}

int open_socket(int family) {
    return error_of(::socket(family, SOCK_STREAM, 0));
}

TEST(SeccompTest, RefusesCallsByName) {
    const auto program =
        program_of(with_rule(R"({"names":["no_such_call","chdir"],"action":"SCMP_ACT_ERRNO"})"));
    EXPECT_EQ(under(program, change_directory), EPERM);
    EXPECT_EQ(under(program, [] { return error_of(::getppid()); }), 0);
}

TEST(SeccompTest, FailsWithTheErrnoOfTheRule) {
    const auto program =
        program_of(with_rule(R"({"names":["chdir"],"action":"SCMP_ACT_ERRNO","errnoRet":42})"));
    EXPECT_EQ(under(program, change_directory), 42);
}

TEST(SeccompTest, KillsAndTraps) {
    // Not SCMP_ACT_KILL, which ends a thread: a sanitizer has one more.
    for (const char* action : {"SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"}) {
        const auto program =
            program_of(with_rule(R"({"names":["chdir"],"action":")" + std::string(action) + "\"}"));
        EXPECT_EQ(under(program, change_directory), 254) << action;
    }
}

TEST(SeccompTest, LooksAtArguments) {
    const auto program = program_of(with_rule(
        R"({"names":["socket"],"action":"SCMP_ACT_ERRNO","args":[
            {"index":0,"value":2,"op":"SCMP_CMP_EQ"},
            {"index":1,"value":15,"valueTwo":1,"op":"SCMP_CMP_MASKED_EQ"}]})"
    ));
    EXPECT_EQ(under(program, [] { return open_socket(AF_INET); }), EPERM);
    EXPECT_EQ(under(program, [] { return error_of(::socket(AF_INET, SOCK_DGRAM, 0)); }), 0);
    EXPECT_EQ(under(program, [] { return open_socket(AF_UNIX); }), 0);
}

TEST(SeccompTest, TakesConditionsOnOneArgumentForAlternatives) {
    const auto program = program_of(with_rule(
        R"({"names":["socket"],"action":"SCMP_ACT_ERRNO","args":[
            {"index":0,"value":2,"op":"SCMP_CMP_EQ"},{"index":0,"value":10,"op":"SCMP_CMP_EQ"}]})"
    ));
    EXPECT_EQ(under(program, [] { return open_socket(AF_INET); }), EPERM);
    EXPECT_EQ(under(program, [] { return open_socket(AF_INET6); }), EPERM);
    EXPECT_EQ(under(program, [] { return open_socket(AF_UNIX); }), 0);
}

std::string refusing(const std::string& more) {
    return R"({"defaultAction":"SCMP_ACT_ERRNO",)" + more +
           R"("syscalls":[{"names":["exit_group","getppid"],"action":"SCMP_ACT_ALLOW"}]})";
}

int call_newer() {
    return error_of(::syscall(999));
}

TEST(SeccompTest, TellsCallsThatItCannotKnowFromOthers) {
    const auto program = program_of(
        refusing(R"("architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],)")
    );
    EXPECT_EQ(under(program, call_newer), ENOSYS);
    EXPECT_EQ(under(program, change_directory), EPERM);
    EXPECT_EQ(under(program, [] { return error_of(::getppid()); }), 0);
}

TEST(SeccompTest, RefusesCallsThatItCannotKnowWithoutArchitectures) {
    EXPECT_EQ(under(program_of(refusing("")), call_newer), EPERM);
}

TEST(SeccompTest, FailsWithTheErrnoOfTheDefault) {
    const auto program =
        program_of(refusing(R"("defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],)"));
    EXPECT_EQ(under(program, change_directory), ENOSYS);
}

TEST(SeccompTest, HasRoomForManyRules) {
    std::string names;
    for (const char* name :
         {"chdir",       "fchdir",        "getcwd",  "mkdir",   "rmdir",       "rename",
          "link",        "chmod",         "chown",   "fchmod",  "fchown",      "lchown",
          "umask",       "mknod",         "statfs",  "fstatfs", "sysfs",       "sync",
          "acct",        "mount",         "umount2", "swapon",  "swapoff",     "reboot",
          "sethostname", "setdomainname", "iopl",    "ioperm",  "init_module", "delete_module",
          "quotactl",    "ptrace",        "syslog",  "vhangup", "pivot_root",  "chroot",
          "personality", "ustat"}) {
        names += (names.empty() ? "\"" : ",\"") + std::string(name) + "\"";
    }
    const auto program =
        program_of(with_rule(R"({"names":[)" + names + R"(],"action":"SCMP_ACT_ERRNO"})"));
    EXPECT_EQ(under(program, change_directory), EPERM);
    EXPECT_EQ(under(program, [] { return error_of(::getppid()); }), 0);
}

TEST(SeccompTest, SetsFlags) {
    const auto flags_of = [](const std::string& more) {
        return compile(profile_of(R"({"defaultAction":"SCMP_ACT_ALLOW")" + more + "}")).flags;
    };
    EXPECT_EQ(flags_of(""), SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    EXPECT_EQ(flags_of(R"(,"flags":[])"), 0U);
    EXPECT_EQ(
        flags_of(R"(,"flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_TSYNC"])"),
        SECCOMP_FILTER_FLAG_LOG
    );
}

struct BadProfile {
    const char* json;
    const char* error;
};

TEST(SeccompTest, NamesWhatIsWrong) {
    const BadProfile profiles[] = {
        {R"({"defaultAction":"SCMP_ACT_X"})",
         "linux.seccomp.defaultAction: unknown action 'SCMP_ACT_X'"},
        {R"({"defaultAction":"SCMP_ACT_NOTIFY"})",
         "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY is not supported"},
        {R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86","PDP11"]})",
         "linux.seccomp.architectures[1]: unknown architecture 'PDP11'"},
        {R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_S390X"]})",
         "linux.seccomp.architectures[0]: SCMP_ARCH_S390X has another byte order"},
        {R"({"defaultAction":"SCMP_ACT_ALLOW","flags":["F"]})",
         "linux.seccomp.flags[0]: unknown flag 'F'"},
        {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chdir"],"action":"A"}]})",
         "linux.seccomp.syscalls[0].action: unknown action 'A'"},
        {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chdir"],
             "action":"SCMP_ACT_KILL","args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]}]})",
         "linux.seccomp.syscalls[0].args[0].index: a system call has 6 arguments"},
        {R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chdir"],
             "action":"SCMP_ACT_KILL","args":[{"index":0,"value":1,"op":"="}]}]})",
         "linux.seccomp.syscalls[0].args[0].op: unknown operator '='"},
    };
    for (const BadProfile& profile : profiles) {
        EXPECT_THAT(
            failure_of([&] { compile(profile_of(profile.json)); }), StartsWith(profile.error)
        );
    }
}

TEST(SeccompTest, SaysWhenTheKernelCannotTakeIt) {
    std::string rules;
    for (std::uint64_t value = 0; value < 1500; ++value) {
        rules += (rules.empty() ? "" : ",") +
                 (R"({"names":["lseek"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":)" +
                  std::to_string((value << 32) + value) + R"(,"op":"SCMP_CMP_EQ"}]})");
    }
    EXPECT_THAT(
        failure_of([&] { compile(profile_of(with_rule(rules))); }),
        StartsWith("linux.seccomp: makes a program of ")
    );
}

} // namespace
} // namespace cppvm::seccomp
