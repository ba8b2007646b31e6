#include "host/shim/command_line.hpp"

#include "common/base/error.hpp"
#include "common/base/one_line.hpp"

#include <optional>

namespace cppvm::shim {

namespace {

constexpr std::string_view usage_line =
    "usage: containerd-shim-cppvm-v1 -namespace NS -id ID -address PATH [flags] [start|delete]";

[[noreturn]] void fail(const std::string& what) {
    // The text may be anything; the error must stay one short line.
    constexpr std::size_t max_shown = 160;
    throw Error(Code::invalid_argument, one_line(what, max_shown) + "; " + std::string(usage_line));
}

/// The values that strconv.ParseBool of Go takes.
std::optional<bool> parse_bool(std::string_view text) noexcept {
    for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
        if (text == yes) {
            return true;
        }
    }
    for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
        if (text == no) {
            return false;
        }
    }
    return std::nullopt;
}

class Parser {
  public:
    explicit Parser(std::span<const char* const> arguments) : arguments_(arguments) {}

    CommandLine run() {
        while (at_ < arguments_.size()) {
            const std::string_view word = arguments_[at_];
            if (word.size() < 2 || word[0] != '-') {
                break;
            }
            ++at_;
            if (word == "--") {
                break;
            }
            take_flag(word);
        }
        const Action action = take_action();
        if (help_) {
            line_.action = Action::help;
        } else if (version_) {
            line_.action = Action::version;
        } else if (info_) {
            line_.action = Action::info;
        } else {
            line_.action = action;
        }
        return line_;
    }

  private:
    void take_flag(std::string_view word) {
        std::string_view name = word.substr(word[1] == '-' ? 2 : 1);
        std::optional<std::string_view> value;
        if (const auto equals = name.find('='); equals != std::string_view::npos) {
            value = name.substr(equals + 1);
            name = name.substr(0, equals);
        }
        if (name.empty() || name[0] == '-') {
            fail("bad flag syntax: " + std::string(word));
        }
        if (bool* const flag = find_switch(name)) {
            const auto on = parse_bool(value.value_or("true"));
            if (!on) {
                fail("-" + std::string(name) + " is a switch, not \"" + std::string(*value) + "\"");
            }
            *flag = *on;
            return;
        }
        if (!is_text_flag(name)) {
            fail("unknown flag -" + std::string(name));
        }
        if (!value) {
            if (at_ == arguments_.size()) {
                fail("-" + std::string(name) + " needs a value");
            }
            value = arguments_[at_++];
        }
        set_text(name, *value);
    }

    bool* find_switch(std::string_view name) {
        if (name == "debug") {
            return &line_.debug;
        }
        if (name == "info") {
            return &info_;
        }
        if (name == "v" || name == "version") {
            return &version_;
        }
        if (name == "h" || name == "help") {
            return &help_;
        }
        return nullptr;
    }

    static bool is_text_flag(std::string_view name) noexcept {
        return name == "namespace" || name == "id" || name == "address" ||
               name == "publish-binary" || name == "socket" || name == "bundle";
    }

    void set_text(std::string_view name, std::string_view value) {
        if (name == "bundle") {
            line_.bundle = value;
        } else if (name == "namespace") {
            line_.containerd_namespace = value;
        } else if (name == "id") {
            line_.id = value;
        } else if (name == "address") {
            line_.address = value;
        } else if (name == "publish-binary") {
            line_.publish_binary = value;
        } else {
            line_.socket = value;
        }
    }

    Action take_action() {
        if (at_ == arguments_.size()) {
            return Action::serve;
        }
        const std::string_view word = arguments_[at_++];
        if (word != "start" && word != "delete") {
            fail("unknown action \"" + std::string(word) + "\"");
        }
        if (at_ != arguments_.size()) {
            fail(
                "unexpected \"" + std::string(arguments_[at_]) + "\" after the action " +
                std::string(word)
            );
        }
        return word == "start" ? Action::start : Action::delete_task;
    }

    std::span<const char* const> arguments_;
    std::size_t at_ = 0;
    CommandLine line_;
    bool info_ = false;
    bool version_ = false;
    bool help_ = false;
};

} // namespace

CommandLine parse_command_line(std::span<const char* const> arguments) {
    return Parser(arguments).run();
}

std::string_view usage() noexcept {
    return "usage: containerd-shim-cppvm-v1 -namespace NS -id ID -address PATH [flags] "
           "[start|delete]\n"
           "\n"
           "containerd's shim for containers in virtual machines. containerd runs it for the\n"
           "runtime io.containerd.cppvm.v1; the command for people is cppvm.\n"
           "\n"
           "actions\n"
           "  start                 start the sandbox's daemon, or find it, and print its address\n"
           "  delete                undo what a daemon left behind\n"
           "  (none)                be the daemon; only start does this\n"
           "\n"
           "flags\n"
           "  -namespace NS         containerd's namespace\n"
           "  -id ID                the container or sandbox\n"
           "  -address PATH         containerd's gRPC socket\n"
           "  -publish-binary PATH  containerd's executable\n"
           "  -bundle PATH          the bundle; the working directory unless given\n"
           "  -socket ADDRESS       the daemon's own address\n"
           "  -debug                log at level debug at least\n"
           "  -info                 print what the runtime supports (protobuf) and exit\n"
           "  -v  -version          print the version and exit\n"
           "  -help                 print this and exit\n";
}

} // namespace cppvm::shim
