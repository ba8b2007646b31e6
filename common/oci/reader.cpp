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

} // namespace cppvm::oci::detail
