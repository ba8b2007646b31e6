#include "host/cli/arguments.hpp"

#include "common/base/error.hpp"

#include <algorithm>

namespace cppvm::cli {

namespace {

bool contains(const std::vector<std::string_view>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

} // namespace

Arguments::Arguments(
    const std::vector<std::string>& words,
    const std::vector<std::string_view>& options,
    const std::vector<std::string_view>& flags
) {
    bool only_rest = false;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (only_rest || !word.starts_with("-") || word == "-") {
            rest_.push_back(word);
            continue;
        }
        if (word == "--") {
            only_rest = true;
            continue;
        }
        const std::size_t equals = std::min(word.find('='), word.size());
        const std::string name = word.substr(0, equals);
        const bool has_value = equals != word.size();
        if (contains(flags, name) && !has_value) {
            values_[name] = "";
        } else if (contains(options, name) && has_value) {
            values_[name] = word.substr(equals + 1);
        } else if (contains(options, name) && i + 1 < words.size()) {
            values_[name] = words[++i];
        } else if (contains(options, name)) {
            throw Error(Code::invalid_argument, name + " needs a value");
        } else if (contains(flags, name)) {
            throw Error(Code::invalid_argument, name + " takes no value");
        } else {
            throw Error(Code::invalid_argument, "unknown option " + name);
        }
    }
}

std::optional<std::string> Arguments::option(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::nullopt : std::optional(found->second);
}

bool Arguments::flag(std::string_view name) const {
    return values_.contains(name);
}

void Arguments::expect_no_rest() const {
    if (!rest_.empty()) {
        throw Error(Code::invalid_argument, "unexpected argument " + rest_[0]);
    }
}

config::Config load_config(const Arguments& arguments) {
    const auto file = arguments.option("--config");
    return config::load(file.value_or(config::default_path), file.has_value());
}

} // namespace cppvm::cli
