#include "host/config/config.hpp"

#include "common/base/error.hpp"
#include "common/log/logger.hpp"
#include "common/os/file.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <optional>
#include <sstream>
#include <variant>

namespace cppvm::config {

namespace {

constexpr std::size_t max_file_bytes = 1024UL * 1024;
constexpr std::size_t max_text_bytes = 4096;
// `<run_dir>/<16 digits>/<name>` must fit into the 107 bytes of a unix socket's path.
constexpr std::size_t max_run_dir_bytes = 48;

std::string_view type_name(toml::node_type type) noexcept {
    switch (type) {
    case toml::node_type::table:
        return "a table";
    case toml::node_type::array:
        return "an array";
    case toml::node_type::string:
        return "a string";
    case toml::node_type::integer:
        return "an integer";
    case toml::node_type::floating_point:
        return "a floating-point number";
    case toml::node_type::boolean:
        return "a boolean";
    case toml::node_type::none:
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
        break;
    }
    return "a date or time";
}

// Values of the file go into the text, which must stay one line.
[[noreturn]] void
fail(std::string_view source, const toml::source_region& region, std::string_view what) {
    constexpr std::size_t max_shown = 200;
    std::string shown(what.substr(0, max_shown));
    std::replace_if(
        shown.begin(), shown.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?'
    );
    throw Error(
        Code::invalid_argument,
        "load configuration: " + std::string(source) + ":" + std::to_string(region.begin.line) +
            ": " + shown
    );
}

/// One value of a file, with its place for errors.
class Value {
  public:
    Value(std::string_view source, std::string key, const toml::key& place, const toml::node& node)
        : source_(source), key_(std::move(key)), place_(place), node_(node) {}

    std::string text() const {
        const auto* string = node_.as_string();
        if (string == nullptr) {
            wrong_type("a string");
        }
        if (string->get().size() > max_text_bytes ||
            string->get().find('\0') != std::string::npos) {
            fail("must be text of at most " + std::to_string(max_text_bytes) + " bytes");
        }
        return string->get();
    }

    std::string one_of(std::initializer_list<std::string_view> choices) const {
        std::string value = text();
        if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
            std::string list;
            for (const std::string_view choice : choices) {
                list.append(list.empty() ? "\"" : ", \"").append(choice).append("\"");
            }
            fail("is \"" + value + "\", must be one of " + list);
        }
        return value;
    }

    std::int64_t number(std::int64_t lowest, std::int64_t highest) const {
        const auto* integer = node_.as_integer();
        if (integer == nullptr) {
            wrong_type("an integer");
        }
        if (integer->get() < lowest || integer->get() > highest) {
            fail(
                "is " + std::to_string(integer->get()) + ", must be from " +
                std::to_string(lowest) + " to " + std::to_string(highest)
            );
        }
        return integer->get();
    }

    std::filesystem::path absolute_path(std::size_t max_bytes = max_text_bytes) const {
        std::filesystem::path path = text();
        if (!path.is_absolute()) {
            fail("is \"" + path.native() + "\", must be an absolute path");
        }
        if (path.native().size() > max_bytes) {
            fail("must be at most " + std::to_string(max_bytes) + " bytes long");
        }
        return path;
    }

    /// For programs that are searched for when the value is empty.
    std::filesystem::path optional_path() const {
        return text().empty() ? std::filesystem::path() : absolute_path();
    }

  private:
    [[noreturn]] void fail(const std::string& what) const {
        config::fail(source_, place_.source(), key_ + " " + what);
    }

    [[noreturn]] void wrong_type(std::string_view wanted) const {
        fail("must be " + std::string(wanted) + ", not " + std::string(type_name(node_.type())));
    }

    std::string_view source_;
    std::string key_;
    const toml::key& place_;
    const toml::node& node_;
};

/// What a key can hold.
using Setting = std::variant<std::string, std::int64_t>;

struct Key {
    std::string_view table; // empty: the top level
    std::string_view name;
    void (*set)(const Value& value, Config& config);
    Setting (*get)(const Config& config);
};

// Every key there is. docs/configuration.md describes the same ones; a test compares the two.
constexpr Key keys[] = {
    {"",
     "run_dir",
     [](const Value& v, Config& c) { c.run_dir = v.absolute_path(max_run_dir_bytes); },
     [](const Config& c) -> Setting { return c.run_dir.native(); }},
    {"hypervisor",
     "uri",
     [](const Value& v, Config& c) { c.hypervisor.uri = v.text(); },
     [](const Config& c) -> Setting { return c.hypervisor.uri; }},
    {"hypervisor",
     "acceleration",
     [](const Value& v, Config& c) { c.hypervisor.acceleration = v.one_of({"kvm", "emulation"}); },
     [](const Config& c) -> Setting { return c.hypervisor.acceleration; }},
    {"hypervisor",
     "emulator",
     [](const Value& v, Config& c) { c.hypervisor.emulator = v.absolute_path(); },
     [](const Config& c) -> Setting { return c.hypervisor.emulator.native(); }},
    {"hypervisor",
     "virtiofsd",
     [](const Value& v, Config& c) { c.hypervisor.virtiofsd = v.optional_path(); },
     [](const Config& c) -> Setting { return c.hypervisor.virtiofsd.native(); }},
    {"hypervisor",
     "libvirt_helper",
     [](const Value& v, Config& c) { c.hypervisor.libvirt_helper = v.optional_path(); },
     [](const Config& c) -> Setting { return c.hypervisor.libvirt_helper.native(); }},
    {"vsock",
     "transport",
     [](const Value& v, Config& c) { c.vsock.transport = v.one_of({"auto", "kernel", "user"}); },
     [](const Config& c) -> Setting { return c.vsock.transport; }},
    {"vsock",
     "vhost_device_vsock",
     [](const Value& v, Config& c) { c.vsock.vhost_device_vsock = v.optional_path(); },
     [](const Config& c) -> Setting { return c.vsock.vhost_device_vsock.native(); }},
    {"vm",
     "vcpus",
     [](const Value& v, Config& c) { c.vm.vcpus = static_cast<unsigned>(v.number(1, 512)); },
     [](const Config& c) -> Setting { return static_cast<std::int64_t>(c.vm.vcpus); }},
    {"vm",
     "memory_mib",
     [](const Value& v, Config& c) {
         c.vm.memory_mib = static_cast<unsigned>(v.number(64, 16LL * 1024 * 1024));
     },
     [](const Config& c) -> Setting { return static_cast<std::int64_t>(c.vm.memory_mib); }},
    {"vm",
     "kernel",
     [](const Value& v, Config& c) { c.vm.kernel = v.absolute_path(); },
     [](const Config& c) -> Setting { return c.vm.kernel.native(); }},
    {"vm",
     "initramfs",
     [](const Value& v, Config& c) { c.vm.initramfs = v.absolute_path(); },
     [](const Config& c) -> Setting { return c.vm.initramfs.native(); }},
    {"vm",
     "kernel_parameters",
     [](const Value& v, Config& c) { c.vm.kernel_parameters = v.text(); },
     [](const Config& c) -> Setting { return c.vm.kernel_parameters; }},
    {"vm",
     "boot_timeout",
     [](const Value& v, Config& c) { c.vm.boot_timeout = std::chrono::seconds(v.number(1, 3600)); },
     [](const Config& c) -> Setting { return std::int64_t(c.vm.boot_timeout.count()); }},
    {"vm",
     "console_log_bytes",
     [](const Value& v, Config& c) {
         c.vm.console_log_bytes = static_cast<std::size_t>(v.number(4096, 1LL << 30));
     },
     [](const Config& c) -> Setting { return static_cast<std::int64_t>(c.vm.console_log_bytes); }},
    {"log",
     "level",
     [](const Value& v, Config& c) {
         c.log.level = v.one_of({"trace", "debug", "info", "warn", "error", "off"});
     },
     [](const Config& c) -> Setting { return c.log.level; }},
};

bool is_table(std::string_view name) {
    return std::any_of(std::begin(keys), std::end(keys), [&](const Key& key) {
        return !name.empty() && key.table == name;
    });
}

std::string full_name(std::string_view table, std::string_view key) {
    return table.empty() ? std::string(key) : std::string(table) + "." + std::string(key);
}

/// Applies one file (or the body) to the configuration.
class Source {
  public:
    /// `is_body`: the text is a runtime handler's whole option table as containerd wrote it, with
    /// containerd's own keys among ours.
    Source(std::string_view name, bool is_body, Config& config)
        : name_(name), is_body_(is_body), config_(config) {}

    void apply(std::string_view text) {
        try {
            apply_table("", toml::parse(text));
        } catch (const toml::parse_error& error) {
            fail(
                name_, error.source(), std::string("not valid TOML: ").append(error.description())
            );
        }
    }

  private:
    void apply_table(std::string_view table_name, const toml::table& table) {
        for (const auto& [key, node] : table) {
            const std::string name = full_name(table_name, key.str());
            if (table_name.empty() && is_table(key.str())) {
                if (!node.is_table()) {
                    fail(name_, key.source(), name + " must be a table");
                }
                apply_table(key.str(), *node.as_table());
                continue;
            }
            if (is_body_ && table_name.empty() && is_containerds(key.str())) {
                continue;
            }
            const auto* const known =
                std::find_if(std::begin(keys), std::end(keys), [&](const Key& candidate) {
                    return candidate.table == table_name && candidate.name == key.str();
                });
            if (known == std::end(keys)) {
                fail(name_, key.source(), "unknown key " + name);
            }
            known->set(Value(name_, name, key, node), config_);
        }
    }

    // Members of runtimeoptions.v1.Options, which containerd keeps in the same table.
    static bool is_containerds(std::string_view key) {
        return key == "TypeUrl" || key == "ConfigPath" || key == "ConfigBody";
    }

    std::string_view name_;
    bool is_body_;
    Config& config_;
};

std::optional<std::string> read_if_there(const std::filesystem::path& path) {
    try {
        return read_file(path, max_file_bytes);
    } catch (const Error& error) {
        if (error.cause().value() == ENOENT) {
            return std::nullopt;
        }
        rethrow_with_context("load configuration");
    }
}

std::vector<std::filesystem::path> drop_ins_of(const std::filesystem::path& path) {
    std::filesystem::path directory = path;
    if (directory.extension() == ".toml") {
        directory.replace_extension();
    }
    directory += ".d";
    std::vector<std::filesystem::path> files;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
        if (entry->path().extension() == ".toml") {
            files.push_back(entry->path());
        }
    }
    if (error && error != std::errc::no_such_file_or_directory) {
        throw_errno("load configuration: list", directory.native(), error.value());
    }
    std::sort(files.begin(), files.end());
    return files;
}

} // namespace

Config load(const std::filesystem::path& path, bool required, std::string_view body) {
    Config config;
    const auto main_text = read_if_there(path);
    if (!main_text && required) {
        throw Error(
            Code::invalid_argument,
            "load configuration: " + path.native() +
                ": no such file; correct ConfigPath in the runtime's options or create it"
        );
    }
    if (main_text) {
        Source(path.native(), false, config).apply(*main_text);
        config.sources.push_back(path);
    }
    for (const auto& drop_in : drop_ins_of(path)) {
        if (const auto text = read_if_there(drop_in)) { // it may have gone since it was listed
            Source(drop_in.native(), false, config).apply(*text);
            config.sources.push_back(drop_in);
        }
    }
    if (!body.empty()) {
        if (body.size() > max_file_bytes) {
            throw Error(
                Code::invalid_argument,
                "load configuration: runtime options: larger than the limit of " +
                    std::to_string(max_file_bytes) + " bytes"
            );
        }
        Source("runtime options", true, config).apply(body);
        config.sources.emplace_back("runtime options");
    }
    return config;
}

Config parse(std::string_view text, std::string_view name) {
    Config config;
    Source(name, false, config).apply(text);
    return config;
}

std::string to_toml(const Config& config) {
    toml::table document;
    for (const Key& key : keys) {
        toml::table* table = &document;
        if (!key.table.empty()) {
            document.insert(key.table, toml::table());
            table = document[key.table].as_table();
        }
        std::visit([&](const auto& value) { table->insert(key.name, value); }, key.get(config));
    }
    std::ostringstream text;
    text << document << '\n';
    return std::move(text).str();
}

std::vector<std::string> known_keys() {
    std::vector<std::string> names;
    for (const Key& key : keys) {
        names.push_back(full_name(key.table, key.name));
    }
    return names;
}

} // namespace cppvm::config
