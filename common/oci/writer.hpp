#pragma once

#include "common/oci/blank.hpp"
#include "common/oci/fields.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

/// Private to common/oci.
namespace cppvm::oci::detail {

using OrderedJson = nlohmann::ordered_json;

template <class T>
constexpr bool has_fields = !std::is_same_v<std::remove_cv_t<decltype(fields<T>)>, std::nullptr_t>;

template <class T>
OrderedJson write(const T& value);

template <class T>
OrderedJson write(const std::optional<T>& value) {
    return value ? write(*value) : OrderedJson();
}

template <class T>
bool says_nothing(const T& /*value*/, const OrderedJson& written) {
    return is_blank(written);
}

// One that is there and empty is not the same as none.
template <class T>
bool says_nothing(const std::optional<T>& value, const OrderedJson& /*written*/) {
    return !value;
}

template <class T>
OrderedJson write(const std::vector<T>& values) {
    OrderedJson list = OrderedJson::array();
    for (const T& value : values) {
        list.push_back(write(value));
    }
    return list;
}

template <class T>
OrderedJson write(const std::map<std::string, T>& values) {
    OrderedJson object = OrderedJson::object();
    for (const auto& [name, value] : values) {
        object[name] = write(value);
    }
    return object;
}

/// Without the members that say nothing, unless they are required.
template <class T>
OrderedJson write(const T& value) {
    if constexpr (has_fields<T>) {
        OrderedJson object = OrderedJson::object();
        const auto write_field = [&](const auto& field) {
            OrderedJson member = write(value.*field.member);
            if (field.presence == Presence::required ||
                !says_nothing(value.*field.member, member)) {
                object[field.key] = std::move(member);
            }
        };
        std::apply([&](const auto&... field) { (write_field(field), ...); }, fields<T>);
        return object;
    } else {
        return value;
    }
}

} // namespace cppvm::oci::detail
