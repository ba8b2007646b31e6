#include "common/oci/reader.hpp"

namespace cppvm::oci::detail {

void Reader::read(const Json& json, const JsonPath& path, bool& value) {
    if (!json.is_boolean()) {
        fail(path, "must be true or false");
    }
    value = json.get<bool>();
}

void Reader::read(const Json& json, const JsonPath& path, std::string& value) {
    if (!json.is_string()) {
        fail(path, "must be a string");
    }
    value = json.get_ref<const std::string&>();
    // The kernel would see the part before it only.
    if (value.find('\0') != std::string::npos) {
        fail(path, "must not contain a NUL character");
    }
}

void Reader::read(
    const Json& json, const JsonPath& path, std::map<std::string, std::string>& value
) {
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

} // namespace cppvm::oci::detail
