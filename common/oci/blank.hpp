#pragma once

#include <string>

/// Private to common/oci.
namespace cppvm::oci::detail {

/// A JSON value that says nothing: its absence would mean the same.
template <class Json>
bool is_blank(const Json& value) {
    return value.is_null() || (value.is_boolean() && !value.template get<bool>()) ||
           (value.is_string() && value.template get_ref<const std::string&>().empty()) ||
           (value.is_structured() && value.empty());
}

} // namespace cppvm::oci::detail
