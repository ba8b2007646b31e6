#include "guest-agent/cgroup/device_rules.hpp"

#include "common/base/error.hpp"
#include "common/oci/device_match.hpp"
#include "common/oci/refuse.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace cppvm::guest {

using oci::is_any;
using oci::refuse;

namespace {

constexpr std::int32_t all_access = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

// What the program keeps where.
constexpr std::uint8_t type_register = BPF_REG_2;
constexpr std::uint8_t access_register = BPF_REG_3; // that is asked for
constexpr std::uint8_t major_register = BPF_REG_4;
constexpr std::uint8_t minor_register = BPF_REG_5;
constexpr std::uint8_t allowed_register = BPF_REG_0; // so far

bpf_insn operation(std::uint8_t code, std::uint8_t target, std::int32_t value) {
    return {.code = code, .dst_reg = target, .src_reg = 0, .off = 0, .imm = value};
}

bpf_insn load_word(std::uint8_t target, std::size_t offset) {
    return {
        .code = BPF_LDX | BPF_MEM | BPF_W,
        .dst_reg = target,
        .src_reg = BPF_REG_1, // the context
        .off = static_cast<std::int16_t>(offset),
        .imm = 0
    };
}

bpf_insn copy(std::uint8_t target, std::uint8_t source) {
    return {
        .code = BPF_ALU64 | BPF_MOV | BPF_X,
        .dst_reg = target,
        .src_reg = source,
        .off = 0,
        .imm = 0
    };
}

bpf_insn skip_unless(std::uint8_t target, std::int32_t value, std::size_t instructions) {
    bpf_insn made = operation(BPF_JMP | BPF_JNE | BPF_K, target, value);
    made.off = static_cast<std::int16_t>(instructions);
    return made;
}

std::int32_t access_of(const std::string& letters, const std::string& path) {
    std::int32_t access = 0;
    for (const char letter : letters) {
        switch (letter) {
        case 'r':
            access |= BPF_DEVCG_ACC_READ;
            break;
        case 'w':
            access |= BPF_DEVCG_ACC_WRITE;
            break;
        case 'm':
            access |= BPF_DEVCG_ACC_MKNOD;
            break;
        default:
            refuse(path, "unknown access '" + std::string(1, letter) + "'");
        }
    }
    return access;
}

std::int32_t number_of(std::int64_t number, const std::string& path) {
    if (number < 0 || number > std::numeric_limits<std::int32_t>::max()) {
        refuse(path, "is no number of a device");
    }
    return static_cast<std::int32_t>(number);
}

/// One rule: the comparisons, and what follows if all of them hold.
std::vector<bpf_insn> compile(const oci::DeviceRule& rule, const std::string& path) {
    std::vector<std::pair<std::uint8_t, std::int32_t>> comparisons;
    std::int32_t access = all_access;
    if (rule.type == "c" || rule.type == "b") {
        comparisons.emplace_back(
            type_register, rule.type == "c" ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK
        );
        if (!is_any(rule.major)) {
            comparisons.emplace_back(major_register, number_of(*rule.major, path + ".major"));
        }
        if (!is_any(rule.minor)) {
            comparisons.emplace_back(minor_register, number_of(*rule.minor, path + ".minor"));
        }
        access = access_of(rule.access, path + ".access");
    } else if (!rule.type.empty() && rule.type != "a") {
        refuse(path + ".type", "unknown type '" + rule.type.substr(0, 64) + "'");
    }
    std::vector<bpf_insn> program;
    for (std::size_t i = 0; i < comparisons.size(); ++i) {
        const auto [target, value] = comparisons[i];
        program.push_back(skip_unless(target, value, comparisons.size() - i));
    }
    program.push_back(
        rule.allow ? operation(BPF_ALU64 | BPF_OR | BPF_K, allowed_register, access)
                   : operation(BPF_ALU64 | BPF_AND | BPF_K, allowed_register, ~access)
    );
    return program;
}

std::vector<oci::DeviceRule> rules_of_every_container() {
    return {
        {true, "c", {}, {}, "m"},
        {true, "b", {}, {}, "m"},
        {true, "c", 1, 3, "rwm"}, // null
        {true, "c", 1, 5, "rwm"}, // zero
        {true, "c", 1, 7, "rwm"}, // full
        {true, "c", 1, 8, "rwm"}, // random
        {true, "c", 1, 9, "rwm"}, // urandom
        {true, "c", 5, 0, "rwm"}, // tty
        {true, "c", 5, 2, "rwm"}, // ptmx
        {true, "c", 136, {}, "rwm"},
    };
}

int bpf(bpf_cmd command, bpf_attr& attributes) {
    return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

} // namespace

std::vector<bpf_insn> compile_device_rules(const std::vector<oci::DeviceRule>& rules) {
    constexpr std::int32_t type_bits = 0xffff;
    constexpr std::int32_t access_shift = 16;
    std::vector<bpf_insn> program = {
        load_word(type_register, offsetof(bpf_cgroup_dev_ctx, access_type)),
        copy(access_register, type_register),
        operation(BPF_ALU64 | BPF_AND | BPF_K, type_register, type_bits),
        operation(BPF_ALU64 | BPF_RSH | BPF_K, access_register, access_shift),
        load_word(major_register, offsetof(bpf_cgroup_dev_ctx, major)),
        load_word(minor_register, offsetof(bpf_cgroup_dev_ctx, minor)),
        operation(BPF_ALU64 | BPF_MOV | BPF_K, allowed_register, 0),
    };
    const auto add = [&program](const oci::DeviceRule& rule, const std::string& path) {
        const std::vector<bpf_insn> part = compile(rule, path);
        program.insert(program.end(), part.begin(), part.end());
    };
    for (std::size_t i = 0; i < rules.size(); ++i) {
        add(rules[i], "linux.resources.devices[" + std::to_string(i) + "]");
    }
    for (const oci::DeviceRule& rule : rules_of_every_container()) {
        add(rule, "");
    }
    // What is asked for and not allowed: none of it must be left.
    program.push_back(operation(BPF_ALU64 | BPF_XOR | BPF_K, allowed_register, -1));
    bpf_insn refused = copy(access_register, allowed_register);
    refused.code = BPF_ALU64 | BPF_AND | BPF_X;
    program.push_back(refused);
    program.push_back(operation(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 1));
    bpf_insn if_none = operation(BPF_JMP | BPF_JEQ | BPF_K, access_register, 0);
    if_none.off = 1;
    program.push_back(if_none);
    program.push_back(operation(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0));
    program.push_back(operation(BPF_JMP | BPF_EXIT, 0, 0));
    return program;
}

DeviceProgram load_device_rules(const std::vector<oci::DeviceRule>& rules) {
    if (rules.empty()) {
        return {};
    }
    static constexpr char license[] = "Apache-2.0";
    const std::vector<bpf_insn> program = compile_device_rules(rules);
    bpf_attr load{};
    load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    load.insns = reinterpret_cast<std::uint64_t>(program.data());
    load.insn_cnt = static_cast<std::uint32_t>(program.size());
    load.license = reinterpret_cast<std::uint64_t>(license);
    UniqueFd loaded(bpf(BPF_PROG_LOAD, load));
    if (!loaded) {
        throw_errno("load", "the rules of linux.resources.devices");
    }
    return loaded;
}

void replace_device_rules(int cgroup, DeviceProgram& attached, DeviceProgram program) {
    if (!program) {
        return;
    }
    bpf_attr attach{};
    attach.target_fd = static_cast<std::uint32_t>(cgroup);
    attach.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
    attach.attach_type = BPF_CGROUP_DEVICE;
    attach.attach_flags = BPF_F_ALLOW_MULTI; // a container in the container has its own
    if (attached) {
        attach.attach_flags |= BPF_F_REPLACE;
        attach.replace_bpf_fd = static_cast<std::uint32_t>(attached.get());
    }
    if (bpf(BPF_PROG_ATTACH, attach) != 0) {
        throw_errno("attach", "the rules of linux.resources.devices");
    }
    attached = std::move(program);
}

} // namespace cppvm::guest
