#pragma once

#include <string>
#include <string_view>

namespace cppvm::testing {

/// The bytes of "0a17 636f"; blanks do not count.
inline std::string from_hex(std::string_view text) {
    const auto digit = [](char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; };
    std::string bytes;
    int high = -1;
    for (const char c : text) {
        if (c == ' ') {
            continue;
        }
        if (high < 0) {
            high = digit(c);
        } else {
            bytes.push_back(static_cast<char>(high * 16 + digit(c)));
            high = -1;
        }
    }
    return bytes;
}

} // namespace cppvm::testing
