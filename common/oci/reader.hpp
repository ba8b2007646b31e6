#pragma once

#include "common/oci/blank.hpp"
#include "common/oci/fields.hpp"

#include <nlohmann/json.hpp>

#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Private to common/oci.
namespace cppvm::oci::detail {

using Json = nlohmann::json;

/// Reads values by the tables of fields.hpp. Null counts as absent: Go programs write it for empty
/// values. Throws: Error (invalid_argument) that starts with the path of the value.
class Reader {
  public:
    template <class Struct>
    void read(const Json& json, const JsonPath& path, Struct& value) {
        if (!json.is_object()) {
            fail(path, "must be an object");
        }
        std::set<std::string_view> known;
        std::apply(
            [&](const auto&... field) {
                (known.insert(field.key), ...);
                (read_field(json, path, value, field), ...);
            },
            fields<Struct>
        );
        for (const auto& [key, item] : json.items()) {
            if (!is_blank(item) && !known.contains(key)) {
                unsupported_.push_back(JsonPath(path, key).text());
            }
        }
    }

    /// The paths of members that say something and are in no table.
    std::vector<std::string> take_unsupported() { return std::move(unsupported_); }

  private:
    template <class Struct, class T>
    void read_field(
        const Json& json, const JsonPath& parent, Struct& value, const Field<Struct, T>& field
    ) {
        const JsonPath path(parent, field.key);
        const auto found = json.find(field.key);
        if (found == json.end() || found->is_null()) {
            if (field.presence == Presence::required) {
                fail(path, "is missing");
            }
            return;
        }
        T& member = value.*field.member;
        read(*found, path, member);
        if constexpr (std::is_same_v<T, std::string>) {
            if (field.presence == Presence::required && member.empty()) {
                fail(path, "must not be empty");
            }
        }
        if (field.check != nullptr) {
            field.check(member, path);
        }
    }

    void read(const Json& json, const JsonPath& path, bool& value);
    void read(const Json& json, const JsonPath& path, std::string& value);

    template <std::integral T>
    void read(const Json& json, const JsonPath& path, T& value) {
        if (!json.is_number_integer()) {
            fail(path, "must be an integer");
        }
        const bool fits = json.is_number_unsigned() ? std::in_range<T>(json.get<std::uint64_t>())
                                                    : std::in_range<T>(json.get<std::int64_t>());
        if (!fits) {
            fail(path, "is out of range");
        }
        value = json.get<T>();
    }

    template <class T>
    void read(const Json& json, const JsonPath& path, std::optional<T>& value) {
        read(json, path, value.emplace());
    }

    template <class T>
    void read(const Json& json, const JsonPath& path, std::vector<T>& value) {
        if (!json.is_array()) {
            fail(path, "must be an array");
        }
        value.reserve(json.size());
        for (const Json& item : json) {
            const JsonPath place(path, value.size());
            read(item, place, value.emplace_back());
        }
    }

    template <class T>
    void read(const Json& json, const JsonPath& path, std::map<std::string, T>& value) {
        if (!json.is_object()) {
            fail(path, "must be an object");
        }
        for (const auto& [name, item] : json.items()) {
            if (name.find('\0') != std::string::npos) {
                fail(path, "has a name with a NUL character");
            }
            read(item, JsonPath(path, name), value[name]);
        }
    }

    std::vector<std::string> unsupported_;
};

} // namespace cppvm::oci::detail
