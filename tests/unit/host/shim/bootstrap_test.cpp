#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"
#include "host/shim/bootstrap.hpp"
#include "proto/containerd/bootstrap.pb.h"
#include "proto/containerd/runtimeoptions.pb.h"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <pty.h>
#include <random>
#include <unistd.h>

namespace cppvm::shim {
namespace {

using namespace std::chrono_literals;
using containerd::runtime::bootstrap::v1::BootstrapParams;
using ::testing::HasSubstr;
using ::testing::Not;

std::string from_hex(std::string_view hex) {
    std::string bytes;
    std::string digits;
    for (const char c : hex) {
        if (c == ' ') {
            continue;
        }
        digits.push_back(c);
        if (digits.size() == 2) {
            bytes.push_back(static_cast<char>(std::stoi(digits, nullptr, 16)));
            digits.clear();
        }
    }
    return bytes;
}

google::protobuf::Any options_any(const std::string& path, const std::string& body) {
    runtimeoptions::v1::Options options;
    options.set_config_path(path);
    options.set_config_body(body);
    google::protobuf::Any any;
    any.set_type_url("runtimeoptions.v1.Options");
    any.set_value(options.SerializeAsString());
    return any;
}

// The text of the error that parsing gives for id "a" in namespace "ns".
std::string error_of(std::string_view data) {
    try {
        parse_bootstrap_input(data, "a", "ns");
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument);
        return error.message();
    }
    return {};
}

// Bytes as an independent encoder makes them from containerd's field tables.
const std::string params_bytes =
    from_hex("0a0161 12026e73 18fcffffffffffffffff01 2205322e332e34 42020a00");
const std::string legacy_bytes = from_hex("0a19 72756e74696d656f7074696f6e732e76312e4f7074696f6e73"
                                          "120d 120b 2f6574632f782e746f6d6c");

TEST(BootstrapTest, TakesNothingAsNoOptions) {
    const BootstrapInput input = parse_bootstrap_input("", "a", "ns");
    EXPECT_FALSE(input.wants_bootstrap_result);
    EXPECT_TRUE(input.config_path.empty());
    EXPECT_TRUE(input.config_body.empty());
    EXPECT_TRUE(input.socket_dir.empty());
}

TEST(BootstrapTest, ReadsBootstrapParams) {
    const BootstrapInput input = parse_bootstrap_input(params_bytes, "a", "ns");
    EXPECT_TRUE(input.wants_bootstrap_result);
    EXPECT_EQ(input.log_level, "debug");
    EXPECT_TRUE(input.config_path.empty());
}

TEST(BootstrapTest, ReadsEveryParameterThatMatters) {
    BootstrapParams params;
    params.set_instance_id("a");
    params.set_namespace_("ns");
    params.set_containerd_ttrpc_address("/run/c.ttrpc");
    params.set_socket_dir("/run/sockets");
    params.add_extensions();
    *params.add_extensions()->mutable_value() = options_any("", "vm.vcpus = 2\n");
    const BootstrapInput input = parse_bootstrap_input(params.SerializeAsString(), "a", "ns");
    EXPECT_TRUE(input.wants_bootstrap_result);
    EXPECT_EQ(input.ttrpc_address, "/run/c.ttrpc");
    EXPECT_EQ(input.socket_dir, "/run/sockets");
    EXPECT_EQ(input.log_level, "");
    EXPECT_EQ(input.config_body, "vm.vcpus = 2\n");
}

TEST(BootstrapTest, KnowsLogLevelsByTheirOrder) {
    const std::pair<int, const char*> levels[] = {
        {-8, "trace"}, {-20, "trace"}, {-4, "debug"}, {-6, "debug"}, {0, ""}, {4, ""}, {12, ""}
    };
    for (const auto& [number, level] : levels) {
        BootstrapParams params;
        params.set_instance_id("a");
        params.set_namespace_("ns");
        params.set_log_level(static_cast<containerd::runtime::bootstrap::v1::LogLevel>(number));
        EXPECT_EQ(parse_bootstrap_input(params.SerializeAsString(), "a", "ns").log_level, level);
    }
}

TEST(BootstrapTest, ReadsALegacyAny) {
    const BootstrapInput input = parse_bootstrap_input(legacy_bytes, "a", "ns");
    EXPECT_FALSE(input.wants_bootstrap_result);
    EXPECT_EQ(input.config_path, "/etc/x.toml");
}

TEST(BootstrapTest, TakesAPrefixedTypeToo) {
    auto any = options_any("/etc/y.toml", "");
    any.set_type_url("type.googleapis.com/runtimeoptions.v1.Options");
    EXPECT_EQ(parse_bootstrap_input(any.SerializeAsString(), "a", "ns").config_path, "/etc/y.toml");
}

TEST(BootstrapTest, NamesOptionsOfAnotherType) {
    google::protobuf::Any any;
    any.set_type_url("containerd.runc.v1.Options");
    any.set_value("\x01\x02 anything");
    const BootstrapInput input = parse_bootstrap_input(any.SerializeAsString(), "a", "ns");
    EXPECT_TRUE(input.config_path.empty());
    EXPECT_FALSE(input.wants_bootstrap_result);
    EXPECT_EQ(input.ignored_options, "containerd.runc.v1.Options");
    any.set_type_url("type.example.org/two\nlines" + std::string(5000, 'x'));
    const auto hostile = parse_bootstrap_input(any.SerializeAsString(), "a", "ns");
    EXPECT_THAT(hostile.ignored_options, Not(HasSubstr("\n")));
    EXPECT_LT(hostile.ignored_options.size(), 300U);
    const auto ours = options_any("/etc/y.toml", "").SerializeAsString();
    EXPECT_EQ(parse_bootstrap_input(ours, "a", "ns").ignored_options, "");
}

TEST(BootstrapTest, TakesParamsOfAnotherIdForALegacyAny) {
    // The forms are the same; only the id tells.
    EXPECT_FALSE(parse_bootstrap_input(params_bytes, "b", "ns").wants_bootstrap_result);
    EXPECT_FALSE(parse_bootstrap_input(params_bytes, "a", "other").wants_bootstrap_result);
}

TEST(BootstrapTest, RefusesNoise) {
    std::mt19937 generator(1);
    std::string noise(1024UL * 1024, '\0');
    for (char& c : noise) {
        c = static_cast<char>(generator());
    }
    EXPECT_EQ(
        error_of(noise),
        "read standard input: 1048576 bytes that are neither BootstrapParams nor runtime options"
    );
    // Decodes as unknown fields only.
    EXPECT_THAT(error_of(std::string(9000, 'a')), HasSubstr("neither BootstrapParams nor"));
}

TEST(BootstrapTest, RefusesOptionsThatMakeNoSense) {
    EXPECT_EQ(
        error_of(options_any("x.toml", "").SerializeAsString()),
        "runtime options: ConfigPath \"x.toml\" must be an absolute path"
    );
    auto any = options_any("", "");
    any.set_value("\xff");
    EXPECT_THAT(error_of(any.SerializeAsString()), HasSubstr("not decodable"));
}

TEST(BootstrapTest, NeverCrashesOnDamagedInput) {
    for (const std::string& whole : {params_bytes, legacy_bytes}) {
        for (std::size_t size = 0; size < whole.size(); ++size) {
            for (int bit = 0; bit < 8; ++bit) {
                std::string damaged = whole.substr(0, size + 1);
                damaged[size] = static_cast<char>(damaged[size] ^ (1 << bit));
                try {
                    parse_bootstrap_input(damaged, "a", "ns");
                } catch (const Error& error) {
                    EXPECT_EQ(error.code(), Code::invalid_argument);
                }
            }
        }
    }
}

TEST(BootstrapTest, AnswersThePlainAddressToOldOnes) {
    EXPECT_EQ(bootstrap_answer({}, "unix:///run/containerd/s/x"), "unix:///run/containerd/s/x");
}

TEST(BootstrapTest, AnswersBootstrapResultToNewOnes) {
    BootstrapInput input;
    input.wants_bootstrap_result = true;
    EXPECT_EQ(
        bootstrap_answer(input, "unix:///run/containerd/s/x"),
        from_hex("0803 121a 756e69783a2f2f2f72756e2f636f6e7461696e6572642f732f78 1a05 7474727063")
    );
}

TEST(BootstrapTest, ReadsInputToItsEnd) {
    const testing::TempDir dir;
    const std::string data(300'000, 'x');
    const UniqueFd fd = open_file(dir.write("input", data), O_RDONLY);
    EXPECT_EQ(read_bootstrap_input(fd.get(), 1000ms), data);
}

TEST(BootstrapTest, BoundsTheSizeOfItsInput) {
    const UniqueFd zero = open_file("/dev/zero", O_RDONLY);
    try {
        read_bootstrap_input(zero.get(), 10'000ms);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "read standard input: larger than the limit of 10485760 bytes");
    }
}

TEST(BootstrapTest, BoundsTheWaitForItsInput) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd in(ends[0]);
    const UniqueFd out(ends[1]);
    try {
        read_bootstrap_input(in.get(), 20ms);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "read standard input: no end within 20 ms");
    }
}

TEST(BootstrapTest, TakesATerminalForNothing) {
    int parent = -1;
    int child = -1;
    ASSERT_EQ(::openpty(&parent, &child, nullptr, nullptr, nullptr), 0);
    const UniqueFd first(parent);
    const UniqueFd second(child);
    EXPECT_EQ(read_bootstrap_input(child, 10'000ms), "");
}

} // namespace
} // namespace cppvm::shim
