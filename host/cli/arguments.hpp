#pragma once

#include "host/config/config.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::cli {

/// A sub-command's arguments: options "--name VALUE" or "--name=VALUE", flags "--name", the rest.
/// "--" ends the options.
class Arguments {
  public:
    /// `options` take a value, `flags` do not. Throws: Error (invalid_argument) for others, a
    /// missing value, a value given to a flag.
    Arguments(
        const std::vector<std::string>& words,
        const std::vector<std::string_view>& options,
        const std::vector<std::string_view>& flags = {}
    );

    /// The last value given. Nothing: not given.
    std::optional<std::string> option(std::string_view name) const;
    bool flag(std::string_view name) const;
    const std::vector<std::string>& rest() const noexcept { return rest_; }

    /// Throws: Error (invalid_argument) if there are any besides options.
    void expect_no_rest() const;

  private:
    std::map<std::string, std::string, std::less<>> values_;
    std::vector<std::string> rest_;
};

/// The configuration that `--config` names, else the host's. Throws: Error naming the file.
config::Config load_config(const Arguments& arguments);

} // namespace cppvm::cli
