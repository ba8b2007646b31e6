#include "common/oci/json_object.hpp"

namespace cppvm::oci::detail {

namespace {

/// Says nothing: its absence would mean the same.
bool is_blank(const Json& value) {
    return value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
           (value.is_string() && value.get_ref<const std::string&>().empty()) ||
           (value.is_structured() && value.empty());
}

} // namespace

JsonObject::JsonObject(const Json& value, std::string path, std::vector<std::string>& unused)
    : value_(value), path_(std::move(path)), unused_(unused) {
    if (!value_.is_object()) {
        fail(path_, "must be an object");
    }
}

std::string JsonObject::at(std::string_view key) const {
    return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

const Json* JsonObject::find(const char* key) {
    read_.emplace(key);
    const auto found = value_.find(key);
    return found == value_.end() || found->is_null() ? nullptr : &*found;
}

std::string JsonObject::to_text(const Json& value, const std::string& path) {
    if (!value.is_string()) {
        fail(path, "must be a string");
    }
    const auto& text = value.get_ref<const std::string&>();
    // The kernel would see the part before it only.
    if (text.find('\0') != std::string::npos) {
        fail(path, "must not contain a NUL character");
    }
    return text;
}

std::string JsonObject::text(const char* key) {
    const Json* value = find(key);
    return value == nullptr ? std::string() : to_text(*value, at(key));
}

std::string JsonObject::required_text(const char* key) {
    std::string value = text(key);
    if (value.empty()) {
        fail(at(key), has(key) ? "must not be empty" : "is missing");
    }
    return value;
}

std::string JsonObject::absolute_path(const char* key) {
    std::string value = required_text(key);
    if (value.front() != '/') {
        fail(at(key), "must be an absolute path, is '" + value.substr(0, 256) + "'");
    }
    return value;
}

bool JsonObject::boolean(const char* key) {
    const Json* value = find(key);
    if (value == nullptr) {
        return false;
    }
    if (!value->is_boolean()) {
        fail(at(key), "must be true or false");
    }
    return value->get<bool>();
}

std::vector<std::string> JsonObject::texts(const char* key) {
    std::vector<std::string> result;
    const Json* value = find(key);
    if (value == nullptr) {
        return result;
    }
    if (!value->is_array()) {
        fail(at(key), "must be an array");
    }
    result.reserve(value->size());
    for (const Json& item : *value) {
        result.push_back(to_text(item, at(key) + "[" + std::to_string(result.size()) + "]"));
    }
    return result;
}

std::map<std::string, std::string> JsonObject::text_map(const char* key) {
    std::map<std::string, std::string> result;
    const Json* value = find(key);
    if (value == nullptr) {
        return result;
    }
    if (!value->is_object()) {
        fail(at(key), "must be an object");
    }
    for (const auto& [name, item] : value->items()) {
        if (name.find('\0') != std::string::npos) {
            fail(at(key), "has a name with a NUL character");
        }
        result.emplace(name, to_text(item, at(key) + "." + name));
    }
    return result;
}

std::vector<std::uint32_t> JsonObject::ids(const char* key) {
    std::vector<std::uint32_t> result;
    const Json* value = find(key);
    if (value == nullptr) {
        return result;
    }
    if (!value->is_array()) {
        fail(at(key), "must be an array");
    }
    result.reserve(value->size());
    for (const Json& item : *value) {
        result.push_back(
            to_number<std::uint32_t>(item, at(key) + "[" + std::to_string(result.size()) + "]")
        );
    }
    return result;
}

void JsonObject::finish() {
    for (const auto& [key, item] : value_.items()) {
        if (!is_blank(item) && read_.find(key) == read_.end()) {
            unused_.push_back(at(key));
        }
    }
}

} // namespace cppvm::oci::detail
