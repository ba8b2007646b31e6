#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/config/config.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempDir;

// The message of the error that loading `text` as "config.toml" gives; empty if there is none.
std::string error_of(const std::string& text) {
    const TempDir dir;
    const auto file = dir.write("config.toml", text);
    try {
        load(file, true);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument);
        std::string message = error.message();
        const auto at = message.find(file.native());
        return at == std::string::npos ? message
                                       : message.replace(at, file.native().size(), "FILE");
    }
    return {};
}

TEST(ConfigTest, HasDefaultsWithoutAnyFile) {
    const TempDir dir;
    const Config config = load(dir / "config.toml", false);
    EXPECT_EQ(config.hypervisor.acceleration, "kvm");
    EXPECT_EQ(config.run_dir, "/run/cppvm");
    EXPECT_TRUE(config.sources.empty());
}

TEST(ConfigTest, ReadsEveryKey) {
    const TempDir dir;
    const auto file = dir.write("config.toml", R"(
run_dir = "/run/other"
[hypervisor]
uri = "qemu:///session"
acceleration = "emulation"
emulator = "/opt/qemu"
virtiofsd = "/opt/virtiofsd"
libvirt_helper = "/opt/helper"
[vsock]
transport = "user"
vhost_device_vsock = "/opt/vsock"
[vm]
vcpus = 3
memory_mib = 256
kernel = "/k"
initramfs = "/i"
firmware = "qboot"
kernel_parameters = "quiet"
boot_timeout = 7
kill_timeout = 5
console_log_bytes = 8192
[sockets]
host_to_guest = ["/run/docker.sock", "/tmp/.X11-unix"]
[isolation]
first_uid = 5000
uid_count = 200
[log]
level = "debug"
)");
    const Config config = load(file, true);
    EXPECT_EQ(config.run_dir, "/run/other");
    EXPECT_EQ(config.hypervisor.uri, "qemu:///session");
    EXPECT_EQ(config.hypervisor.acceleration, "emulation");
    EXPECT_EQ(config.hypervisor.emulator, "/opt/qemu");
    EXPECT_EQ(config.hypervisor.virtiofsd, "/opt/virtiofsd");
    EXPECT_EQ(config.hypervisor.libvirt_helper, "/opt/helper");
    EXPECT_EQ(config.vsock.transport, "user");
    EXPECT_EQ(config.vsock.vhost_device_vsock, "/opt/vsock");
    EXPECT_EQ(config.vm.vcpus, 3U);
    EXPECT_EQ(config.vm.memory_mib, 256U);
    EXPECT_EQ(config.vm.kernel, "/k");
    EXPECT_EQ(config.vm.initramfs, "/i");
    EXPECT_EQ(config.vm.firmware, "qboot");
    EXPECT_EQ(config.vm.kernel_parameters, "quiet");
    EXPECT_EQ(config.vm.boot_timeout, std::chrono::seconds(7));
    EXPECT_EQ(config.vm.kill_timeout, std::chrono::seconds(5));
    EXPECT_EQ(config.vm.console_log_bytes, 8192U);
    EXPECT_THAT(config.sockets.host_to_guest, ElementsAre("/run/docker.sock", "/tmp/.X11-unix"));
    EXPECT_EQ(config.isolation.first_uid, 5000U);
    EXPECT_EQ(config.isolation.uid_count, 200U);
    EXPECT_EQ(config.log.level, "debug");
    EXPECT_THAT(config.sources, ElementsAre(file));
    // Nothing is lost on the way to a daemon: text, and back.
    const std::string text = to_toml(config);
    EXPECT_EQ(to_toml(parse(text, "copy")), text);
    EXPECT_THAT(text, HasSubstr("memory_mib = 256"));
    EXPECT_THAT(text, HasSubstr("level = \"debug\""));
}

TEST(ConfigTest, WritesEveryTextSoThatItIsReadTheSame) {
    for (const std::string text :
         {"\n",
          "\r\n",
          "a\n'''b",
          "'\"\"\"\n",
          "\\",
          "\t\b\f",
          "\x01\x1f\x7f",
          "\u0085\u2028\uFEFF",
          "\U0001F600 #=[]"}) {
        Config config;
        config.vm.kernel_parameters = text;
        EXPECT_EQ(parse(to_toml(config), "copy").vm.kernel_parameters, text);
    }
}

TEST(ConfigTest, AppliesDropInsByNameThenTheBody) {
    const TempDir dir;
    const auto file = dir.write("config.toml", "[vm]\nvcpus = 2\nmemory_mib = 200\n");
    const auto later = dir.write("config.d/20-b.toml", "[vm]\nmemory_mib = 400\nvcpus = 4\n");
    const auto first = dir.write("config.d/10-a.toml", "[vm]\nmemory_mib = 300\n");
    dir.write("config.d/30-c.toml.bak", "not toml at all");
    const Config config = load(file, true, "[vm]\nvcpus = 8\n");
    EXPECT_EQ(config.vm.memory_mib, 400U);
    EXPECT_EQ(config.vm.vcpus, 8U);
    EXPECT_THAT(config.sources, ElementsAre(file, first, later, "runtime options"));
}

TEST(ConfigTest, ReadsDropInsOfADefaultFileThatIsMissing) {
    const TempDir dir;
    dir.write("config.d/10.toml", "[vm]\nvcpus = 5\n");
    EXPECT_EQ(load(dir / "config.toml", false).vm.vcpus, 5U);
}

TEST(ConfigTest, RefusesAMissingFileThatWasAskedFor) {
    const TempDir dir;
    try {
        load(dir / "gone.toml", true);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_THAT(error.message(), HasSubstr("gone.toml: no such file"));
    }
}

TEST(ConfigTest, PassesOverContainerdsOwnKeysInABody) {
    const TempDir dir;
    const Config config =
        load(dir / "c.toml", false, "ConfigPath = \"\"\nTypeUrl = \"x\"\nvm.vcpus = 2\n");
    EXPECT_EQ(config.vm.vcpus, 2U);
    EXPECT_EQ(
        error_of("ConfigPath = \"\"\n"), "load configuration: FILE:1: unknown key ConfigPath"
    );
}

TEST(ConfigTest, NamesTheBodyInErrors) {
    const TempDir dir;
    try {
        load(dir / "c.toml", false, "\nSystemdCgroup = true\n");
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(
            error.message(), "load configuration: runtime options:2: unknown key SystemdCgroup"
        );
    }
}

struct BadCase {
    const char* name;
    const char* text;
    const char* message; // after "load configuration: FILE:"
};

class ConfigErrorTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(ConfigErrorTest, NamesFileLineAndKey) {
    EXPECT_EQ(
        error_of(GetParam().text), std::string("load configuration: FILE:") + GetParam().message
    );
}

constexpr BadCase bad_cases[] = {
    {"UnknownKey", "[vm]\n\ncpus = 1\n", "3: unknown key vm.cpus"},
    {"UnknownTable", "[machine]\nx = 1\n", "1: unknown key machine"},
    {"UnknownTopLevel", "\nvcpus = 1\n", "2: unknown key vcpus"},
    {"TableIsValue", "vm = 3\n", "1: vm must be a table"},
    {"StringForNumber", "[vm]\nvcpus = \"2\"\n", "2: vm.vcpus must be an integer, not a string"},
    {"NumberForString", "[log]\nlevel = 3\n", "2: log.level must be a string, not an integer"},
    {"FloatForNumber",
     "[vm]\nvcpus = 1.5\n",
     "2: vm.vcpus must be an integer, not a floating-point number"},
    {"ArrayForString", "[vm]\nkernel = [\"a\"]\n", "2: vm.kernel must be a string, not an array"},
    {"TooFewCpus", "[vm]\nvcpus = 0\n", "2: vm.vcpus is 0, must be from 1 to 512"},
    {"NegativeMemory",
     "[vm]\nmemory_mib = -1\n",
     "2: vm.memory_mib is -1, must be from 64 to 16777216"},
    {"HugeMemory",
     "[vm]\nmemory_mib = 9223372036854775807\n",
     "2: vm.memory_mib is 9223372036854775807, must be from 64 to 16777216"},
    {"NoTimeout", "[vm]\nboot_timeout = 0\n", "2: vm.boot_timeout is 0, must be from 1 to 3600"},
    {"Acceleration",
     "[hypervisor]\nacceleration = \"tcg\"\n",
     "2: hypervisor.acceleration is \"tcg\", must be one of \"kvm\", \"emulation\""},
    {"Transport",
     "[vsock]\ntransport = \"\"\n",
     "2: vsock.transport is \"\", must be one of \"auto\", \"kernel\", \"user\""},
    {"LogLevel",
     "[log]\nlevel = \"loud\"\n",
     "2: log.level is \"loud\", must be one of \"trace\", \"debug\", \"info\", \"warn\", "
     "\"error\", "
     "\"off\""},
    {"RelativePath",
     "[vm]\nkernel = \"vmlinuz\"\n",
     "2: vm.kernel is \"vmlinuz\", must be an absolute path"},
    {"EmptyPath", "[vm]\ninitramfs = \"\"\n", "2: vm.initramfs is \"\", must be an absolute path"},
    {"TextForList",
     "[sockets]\nhost_to_guest = \"/run\"\n",
     "2: sockets.host_to_guest must be an array, not a string"},
    {"RelativePathInList",
     "[sockets]\nhost_to_guest = [\"/run\", \"x\"]\n",
     "2: sockets.host_to_guest is \"x\", must be an absolute path"},
    {"NumberInList",
     "[sockets]\nhost_to_guest = [3]\n",
     "2: sockets.host_to_guest must be a string, not an integer"},
    {"LongRunDir",
     "run_dir = \"/0123456789012345678901234567890123456789012345678\"\n",
     "1: run_dir must be at most 48 bytes long"},
    {"NulByte",
     "[vm]\nkernel_parameters = \"a\\u0000b\"\n",
     "2: vm.kernel_parameters must be text of at most 4096 bytes"},
};

INSTANTIATE_TEST_SUITE_P(
    All,
    ConfigErrorTest,
    ::testing::ValuesIn(bad_cases),
    [](const auto& info) { return std::string(info.param.name); }
);

TEST(ConfigTest, SaysWhereTomlIsBroken) {
    EXPECT_THAT(error_of("[vm]\nvcpus = \n"), HasSubstr("FILE:2: not valid TOML: "));
    EXPECT_THAT(error_of("[vm]\n[vm]\n"), HasSubstr("FILE:2: not valid TOML: "));
    EXPECT_EQ(error_of(std::string("[\0!vm]/", 7)), "load configuration: FILE: not valid TOML");
    EXPECT_THAT(error_of("vm.vcpus = \u0398"), HasSubstr("FILE:1: not valid TOML: "));
    EXPECT_THAT(error_of("\xff\xfe"), HasSubstr("FILE:1: not valid TOML: "));
}

TEST(ConfigTest, KeepsErrorsToOneShortLine) {
    const std::string message =
        error_of("[log]\nlevel = \"a\\nb" + std::string(1000, 'x') + "\"\n");
    EXPECT_THAT(message, HasSubstr("is \"a?bxx"));
    EXPECT_LT(message.size(), 300U);
}

TEST(ConfigTest, RefusesAFileThatIsTooLarge) {
    const TempDir dir;
    const auto file = dir.write("config.toml", std::string(2UL * 1024 * 1024, '#'));
    EXPECT_THROW(load(file, true), Error);
    EXPECT_THROW(load(dir / "none", false, std::string(2UL * 1024 * 1024, '#')), Error);
}

// The block of toml in docs/configuration.md.
std::string documented_example() {
    const std::string text = read_file(CPPVM_CONFIGURATION_DOC, 1024UL * 1024);
    const std::string begin = "```toml\n";
    const auto from = text.find(begin);
    const auto to = text.find("```", from + begin.size());
    EXPECT_NE(to, std::string::npos);
    return text.substr(from + begin.size(), to - from - begin.size());
}

TEST(ConfigTest, DocumentedExampleHoldsTheDefaults) {
    const TempDir dir;
    const Config documented = load(dir.write("config.toml", documented_example()), true);
    EXPECT_EQ(to_toml(documented), to_toml(Config()));
}

TEST(ConfigTest, DocumentedExampleHoldsEveryKey) {
    const std::string example = documented_example();
    for (const std::string& key : known_keys()) {
        const auto dot = key.find('.');
        const std::string name = dot == std::string::npos ? key : key.substr(dot + 1);
        EXPECT_THAT(example, HasSubstr("\n" + name + " = ")) << key << " is not documented";
    }
}

} // namespace
} // namespace cppvm::config
