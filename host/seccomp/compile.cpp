#include "host/seccomp/compile.hpp"

#include "common/base/error.hpp"
#include "common/oci/refuse.hpp"
#include "common/oci/seccomp_names.hpp"
#include "common/os/seccomp_filter.hpp"
#include "host/seccomp/newer_calls.hpp"

#include <seccomp.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <iterator>
#include <linux/seccomp.h>
#include <string>
#include <utility>

namespace cppvm::seccomp {

namespace {

using oci::number_of;
using oci::refuse;

constexpr const char* profile_path = "linux.seccomp";
constexpr std::size_t max_arguments = 6;
// libseccomp's tree is not worth making for fewer rules, and fails for none.
constexpr std::size_t fewest_rules_for_a_tree = 33;
constexpr std::size_t max_shown = 64;

std::uint32_t action_of(
    const std::string& name,
    std::optional<std::uint32_t> errno_ret,
    const std::string& parent,
    const char* key
) {
    const std::string path = parent + "." + key;
    if (name == "SCMP_ACT_NOTIFY") {
        refuse(path, "SCMP_ACT_NOTIFY is not supported: its listener cannot see into the machine");
    }
    const std::uint32_t action = number_of(oci::seccomp_actions(), name, path, "action");
    if (action != SECCOMP_RET_ERRNO && action != SECCOMP_RET_TRACE) {
        return action;
    }
    return action | (errno_ret.value_or(EPERM) & SECCOMP_RET_DATA);
}

/// A word such as "SCMP_ARCH_X86_64" is "x86_64" to libseccomp.
std::uint32_t architecture_of(const std::string& word, const std::string& path) {
    constexpr std::string_view prefix = "SCMP_ARCH_";
    std::string name;
    if (word.starts_with(prefix)) {
        std::ranges::transform(word.substr(prefix.size()), std::back_inserter(name), [](char c) {
            return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        });
    }
    const std::uint32_t architecture = ::seccomp_arch_resolve_name(name.c_str());
    if (architecture == 0) {
        refuse(path, "unknown architecture '" + word.substr(0, max_shown) + "'");
    }
    return architecture;
}

std::vector<scmp_arg_cmp> conditions_of(const oci::SeccompRule& rule, const std::string& path) {
    std::vector<scmp_arg_cmp> conditions;
    for (std::size_t i = 0; i < rule.args.size(); ++i) {
        const oci::SeccompArgument& argument = rule.args[i];
        const std::string place = path + ".args[" + std::to_string(i) + "]";
        if (argument.index >= max_arguments) {
            refuse(place + ".index", "a system call has 6 arguments");
        }
        const auto compare = static_cast<scmp_compare>(
            number_of(oci::seccomp_operators(), argument.op, place + ".op", "operator")
        );
        conditions.push_back({argument.index, compare, argument.value, argument.value_two});
    }
    return conditions;
}

bool names_an_argument_twice(const oci::SeccompRule& rule) {
    std::array<bool, max_arguments> named{};
    return std::ranges::any_of(rule.args, [&](const oci::SeccompArgument& argument) {
        return std::exchange(named.at(argument.index), true);
    });
}

class Compiler {
  public:
    explicit Compiler(const oci::Seccomp& profile)
        : profile_(profile),
          default_action_(action_of(
              profile.default_action, profile.default_errno_ret, profile_path, "defaultAction"
          )),
          context_(make_seccomp_context(default_action_)) {}

    SeccompProgram compile() {
        const std::string path = profile_path;
        add_architectures(path + ".architectures");
        if (count_rules() >= fewest_rules_for_a_tree) {
            check_seccomp(
                ::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimize"
            );
        }
        for (std::size_t i = 0; i < profile_.syscalls.size(); ++i) {
            add_rule(profile_.syscalls[i], path + ".syscalls[" + std::to_string(i) + "]");
        }
        SeccompProgram result;
        result.flags = flags(path + ".flags");
        if (refuses_newer_calls(profile_)) {
            result.instructions = refuse_newer_calls(profile_);
        }
        const std::vector<sock_filter> rules = export_program(context_);
        result.instructions.insert(result.instructions.end(), rules.begin(), rules.end());
        return result;
    }

  private:
    std::size_t count_rules() const {
        std::size_t count = 0;
        for (const oci::SeccompRule& rule : profile_.syscalls) {
            count += rule.names.size();
        }
        return count;
    }

    void add_architectures(const std::string& path) {
        for (std::size_t i = 0; i < profile_.architectures.size(); ++i) {
            const std::string place = path + "[" + std::to_string(i) + "]";
            const std::string& word = profile_.architectures[i];
            const int result = ::seccomp_arch_add(context_.get(), architecture_of(word, place));
            if (result == -EDOM) {
                refuse(place, word + " has another byte order than this machine");
            }
            if (result != -EEXIST) {
                check_seccomp(result, "add " + word);
            }
        }
    }

    unsigned flags(const std::string& path) const {
        if (!profile_.flags) {
            return SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        }
        unsigned flags = 0;
        for (std::size_t i = 0; i < profile_.flags->size(); ++i) {
            const std::string place = path + "[" + std::to_string(i) + "]";
            flags |= number_of(oci::seccomp_flags(), profile_.flags->at(i), place, "flag");
        }
        return flags;
    }

    void add_rule(const oci::SeccompRule& rule, const std::string& path) {
        const std::uint32_t action = action_of(rule.action, rule.errno_ret, path, "action");
        const std::vector<scmp_arg_cmp> conditions = conditions_of(rule, path);
        if (action == default_action_) {
            return; // says nothing, and libseccomp refuses it
        }
        const bool are_alternatives = names_an_argument_twice(rule); // which libseccomp cannot
        for (const std::string& name : rule.names) {
            const int number = ::seccomp_syscall_resolve_name(name.c_str());
            if (number == __NR_SCMP_ERROR) {
                continue;
            }
            if (are_alternatives) {
                for (const scmp_arg_cmp& condition : conditions) {
                    add(action, number, {condition}, name);
                }
            } else {
                add(action, number, conditions, name);
            }
        }
    }

    void
    add(std::uint32_t action,
        int number,
        const std::vector<scmp_arg_cmp>& conditions,
        const std::string& name) {
        const int result = ::seccomp_rule_add_array(
            context_.get(),
            action,
            number,
            static_cast<unsigned>(conditions.size()),
            conditions.data()
        );
        if (result != -EEXIST) {
            check_seccomp(result, "add a rule for " + name);
        }
    }

    const oci::Seccomp& profile_;
    std::uint32_t default_action_;
    SeccompContext context_;
};

} // namespace

SeccompProgram compile(const oci::Seccomp& profile) {
    SeccompProgram program = Compiler(profile).compile();
    const std::size_t size = program.instructions.size();
    if (size > BPF_MAXINSNS) {
        refuse(
            profile_path,
            "makes a program of " + std::to_string(size) +
                " instructions, of which the kernel takes " + std::to_string(BPF_MAXINSNS)
        );
    }
    return program;
}

} // namespace cppvm::seccomp
