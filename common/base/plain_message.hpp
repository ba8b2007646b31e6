#pragma once

#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace cppvm {

// Plain data as a message and back, for a reader that lays it out in memory as the writer does: the
// writer's own fork, or the guest.

template <class T>
std::string to_message(std::span<const T> items) {
    static_assert(std::is_trivially_copyable_v<T>);
    return {reinterpret_cast<const char*>(items.data()), items.size_bytes()};
}

/// A rest that is not a whole item is left out.
template <class T>
std::vector<T> from_message(std::string_view message) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<T> items(message.size() / sizeof(T));
    if (!items.empty()) {
        message.copy(reinterpret_cast<char*>(items.data()), items.size() * sizeof(T));
    }
    return items;
}

} // namespace cppvm
