#include "host/cli/commands.hpp"

#include "common/async/run.hpp"
#include "common/base/build_id.hpp"
#include "common/base/error.hpp"

#include <array>
#include <optional>
#include <ostream>

namespace cppvm::cli {

namespace {

struct Entry {
    std::string_view name;
    std::string_view usage;
    std::string_view summary;
    Command command;
};

Awaitable<int> version_command(Invocation invocation) {
    invocation.out << "cppvm " << version() << "\nbuild " << build_id() << '\n';
    co_return 0;
}

constexpr std::array<Entry, 5> entries = {{
    {"check",
     "check [--config FILE]",
     "check whether this host can run virtual machines, and what to do if it cannot",
     check_command},
    {"explain",
     "explain [--config FILE] [--namespace NAMESPACE] [--json] ID",
     "describe a sandbox: how it booted, what its processes use, its last console output",
     explain_command},
    {"image",
     "image build [--output DIR] [--agent FILE] "
     "[--kernel-package NAME | --kernel-deb FILE | --kernel-tree DIR] [--cache DIR]",
     "build the kernel and initramfs that the virtual machines boot",
     image_command},
    {"list", "list [--config FILE] [--json]", "list the sandboxes of this host", list_command},
    {"version",
     "version",
     "print the version and the build id of the host-guest contract",
     version_command},
}};

void print_help(std::ostream& out) {
    out << "Containers in virtual machines of their own, for containerd.\n\n";
    for (const Entry& entry : entries) {
        out << "  cppvm " << entry.usage << "\n      " << entry.summary << '\n';
    }
}

const Entry* find_entry(std::string_view name) {
    for (const Entry& entry : entries) {
        if (entry.name == name) {
            return &entry;
        }
    }
    return nullptr;
}

int run_command(const Entry& entry, Invocation invocation) {
    return run_until_done(entry.command(std::move(invocation)));
}

} // namespace

int run(const std::vector<std::string>& words, std::ostream& out, std::ostream& errors) {
    if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
        print_help(words.empty() ? errors : out);
        return words.empty() ? 2 : 0;
    }
    const std::string& name = words[0];
    const Entry* const entry = find_entry(name == "--version" || name == "-v" ? "version" : name);
    if (entry == nullptr) {
        errors << "cppvm: unknown command " << name << "; see cppvm --help\n";
        return 2;
    }
    try {
        return run_command(*entry, {{words.begin() + 1, words.end()}, out});
    } catch (const Error& error) {
        const bool usage = error.code() == Code::invalid_argument;
        errors << "cppvm " << name << ": " << error.message() << '\n';
        if (usage) {
            errors << "usage: cppvm " << entry->usage << '\n';
        }
        return usage ? 2 : 1;
    } catch (...) {
        errors << "cppvm " << name << ": " << to_status(std::current_exception()).message << '\n';
        return 1;
    }
}

} // namespace cppvm::cli
