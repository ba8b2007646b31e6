#include "guest-agent/cgroup/device_rules.hpp"
#include "tests/support/failure_of.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace cppvm::guest {
namespace {

using oci::DeviceRule;
using testing::failure_of;

constexpr std::uint32_t read_it = BPF_DEVCG_ACC_READ;
constexpr std::uint32_t write_it = BPF_DEVCG_ACC_WRITE;
constexpr std::uint32_t make_it = BPF_DEVCG_ACC_MKNOD;

/// Runs a program as far as these need it (Documentation/bpf/instruction-set.rst).
std::uint64_t run(const std::vector<bpf_insn>& program, const bpf_cgroup_dev_ctx& context) {
    std::array<std::uint64_t, MAX_BPF_REG> registers{};
    for (std::size_t at = 0; at < program.size(); ++at) {
        const bpf_insn& instruction = program[at];
        std::uint64_t& target = registers.at(instruction.dst_reg);
        const std::uint64_t source =
            (instruction.code & BPF_X) != 0
                ? registers.at(instruction.src_reg)
                : static_cast<std::uint64_t>(std::int64_t{instruction.imm});
        switch (instruction.code & ~BPF_X) {
        case BPF_LDX | BPF_MEM | BPF_W: {
            std::uint32_t word = 0;
            std::memcpy(
                &word, reinterpret_cast<const char*>(&context) + instruction.off, sizeof word
            );
            target = word;
            break;
        }
        case BPF_ALU64 | BPF_MOV:
            target = source;
            break;
        case BPF_ALU64 | BPF_AND:
            target &= source;
            break;
        case BPF_ALU64 | BPF_OR:
            target |= source;
            break;
        case BPF_ALU64 | BPF_XOR:
            target ^= source;
            break;
        case BPF_ALU64 | BPF_RSH:
            target >>= source;
            break;
        case BPF_JMP | BPF_JNE:
            at += target != source ? static_cast<std::size_t>(instruction.off) : 0;
            break;
        case BPF_JMP | BPF_JEQ:
            at += target == source ? static_cast<std::size_t>(instruction.off) : 0;
            break;
        case BPF_JMP | BPF_EXIT:
            return registers[0];
        default:
            ADD_FAILURE() << "instruction " << at << " has code " << int{instruction.code};
            return 0;
        }
    }
    ADD_FAILURE() << "the program does not end";
    return 0;
}

bool allows(
    const std::vector<DeviceRule>& rules,
    std::uint32_t type,
    std::uint32_t major,
    std::uint32_t minor,
    std::uint32_t access
) {
    return run(compile_device_rules(rules), {(access << 16) | type, major, minor}) == 1;
}

bool allows_character_device(
    const std::vector<DeviceRule>& rules,
    std::uint32_t major,
    std::uint32_t minor,
    std::uint32_t access
) {
    return allows(rules, BPF_DEVCG_DEV_CHAR, major, minor, access);
}

const DeviceRule nothing{false, "a", {}, {}, "rwm"};

TEST(DeviceRulesTest, AllowWhatEveryContainerHas) {
    EXPECT_TRUE(allows_character_device({nothing}, 1, 3, read_it | write_it));
    EXPECT_TRUE(allows_character_device({nothing}, 136, 7, read_it | write_it));
    EXPECT_TRUE(allows_character_device({nothing}, 9, 9, make_it));
    EXPECT_TRUE(allows({nothing}, BPF_DEVCG_DEV_BLOCK, 8, 0, make_it));
    EXPECT_FALSE(allows_character_device({nothing}, 1, 11, read_it));
    EXPECT_FALSE(allows({nothing}, BPF_DEVCG_DEV_BLOCK, 1, 3, read_it));
}

TEST(DeviceRulesTest, AddUpByAccess) {
    const std::vector<DeviceRule> rules = {
        nothing, {true, "c", 10, 229, "r"}, {true, "c", 10, 229, "w"}, {true, "c", 10, {}, "r"}
    };
    EXPECT_TRUE(allows_character_device(rules, 10, 229, read_it | write_it));
    EXPECT_TRUE(allows_character_device(rules, 10, 1, read_it));
    EXPECT_FALSE(allows_character_device(rules, 10, 1, read_it | write_it));
}

TEST(DeviceRulesTest, CountInTheirOrder) {
    const DeviceRule everything{true, "", {}, {}, ""};
    EXPECT_TRUE(allows_character_device({everything}, 1, 11, read_it));
    EXPECT_FALSE(allows_character_device({everything, {false, "c", 1, 11, "r"}}, 1, 11, read_it));
    EXPECT_TRUE(allows_character_device({{false, "c", 1, 11, "r"}, everything}, 1, 11, read_it));
    EXPECT_FALSE(allows_character_device({everything, nothing}, 1, 11, read_it));
}

TEST(DeviceRulesTest, TakeMinusOneForAny) {
    const std::vector<DeviceRule> rules = {nothing, {true, "b", -1, -1, "rwm"}};
    EXPECT_TRUE(allows(rules, BPF_DEVCG_DEV_BLOCK, 8, 1, read_it | write_it | make_it));
}

TEST(DeviceRulesTest, NameWhatIsWrong) {
    const auto refusal = [](DeviceRule rule) {
        return failure_of([&] { compile_device_rules({nothing, std::move(rule)}); });
    };
    EXPECT_EQ(
        refusal({true, "x", {}, {}, "r"}), "linux.resources.devices[1].type: unknown type 'x'"
    );
    EXPECT_EQ(
        refusal({true, "c", {}, {}, "rx"}), "linux.resources.devices[1].access: unknown access 'x'"
    );
    EXPECT_EQ(
        refusal({true, "c", -2, {}, "r"}),
        "linux.resources.devices[1].major: is no number of a device"
    );
}

} // namespace
} // namespace cppvm::guest
