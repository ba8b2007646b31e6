#pragma once

#include "common/base/error.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

/// Private to common/oci.
namespace cppvm::oci::detail {

using Json = nlohmann::json;

[[noreturn]] inline void fail(const std::string& path, const std::string& problem) {
    throw Error(Code::invalid_argument, (path.empty() ? "config" : path) + ": " + problem);
}

/// One JSON object that is being read: gives members with a checked type and remembers which were
/// asked for, so that `finish` can report the others.
/// Borrows: the JSON value and the list of unused paths.
class JsonObject {
  public:
    JsonObject(const Json& value, std::string path, std::vector<std::string>& unused);

    /// Null counts as absent: Go programs write it for empty values.
    const Json* find(const char* key);
    bool has(const char* key) { return find(key) != nullptr; }

    std::string text(const char* key);
    std::string required_text(const char* key);
    /// Starts with '/'; must be there.
    std::string absolute_path(const char* key);
    bool boolean(const char* key);
    std::vector<std::string> texts(const char* key);
    std::map<std::string, std::string> text_map(const char* key);
    std::vector<std::uint32_t> ids(const char* key);

    template <class T>
    std::optional<T> number(const char* key) {
        const Json* value = find(key);
        return value == nullptr ? std::nullopt : std::optional<T>(to_number<T>(*value, at(key)));
    }
    template <class T>
    T number_or(const char* key, T absent) {
        return number<T>(key).value_or(absent);
    }
    template <class T>
    T required_number(const char* key) {
        if (!has(key)) {
            fail(at(key), "is missing");
        }
        return *number<T>(key);
    }

    /// Calls `read(JsonObject&)` for a member that is an object, if it is there.
    template <class F>
    void object(const char* key, F read) {
        if (const Json* value = find(key); value != nullptr) {
            JsonObject member(*value, at(key), unused_);
            read(member);
            member.finish();
        }
    }

    /// Calls `read(JsonObject&)` for each object of a member that is an array.
    template <class F>
    void objects(const char* key, F read) {
        const Json* value = find(key);
        if (value == nullptr) {
            return;
        }
        if (!value->is_array()) {
            fail(at(key), "must be an array");
        }
        for (std::size_t i = 0; i < value->size(); ++i) {
            JsonObject member((*value)[i], at(key) + "[" + std::to_string(i) + "]", unused_);
            read(member);
            member.finish();
        }
    }

    /// The JSON path of a member.
    std::string at(std::string_view key) const;

    /// Reports members that nobody asked for.
    void finish();

  private:
    template <class T>
    static T to_number(const Json& value, const std::string& path) {
        if (!value.is_number_integer()) {
            fail(path, "must be a whole number");
        }
        const bool negative = !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
        if (negative) {
            const auto number = value.get<std::int64_t>();
            if (!std::numeric_limits<T>::is_signed ||
                number < static_cast<std::int64_t>(std::numeric_limits<T>::min())) {
                fail(path, "is out of range");
            }
            return static_cast<T>(number);
        }
        const auto number = value.get<std::uint64_t>();
        if (number > static_cast<std::uint64_t>(std::numeric_limits<T>::max())) {
            fail(path, "is out of range");
        }
        return static_cast<T>(number);
    }
    static std::string to_text(const Json& value, const std::string& path);

    const Json& value_;
    std::string path_;
    std::vector<std::string>& unused_;
    std::set<std::string, std::less<>> read_;
};

} // namespace cppvm::oci::detail
