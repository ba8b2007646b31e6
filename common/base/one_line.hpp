#pragma once

#include <cstddef>
#include <string>
#include <utility>

namespace cppvm {

/// Text of somebody else as part of one line: instead of a control character stands `instead`, and
/// what is longer than `max_bytes` is cut off.
inline std::string
one_line(std::string text, std::size_t max_bytes = std::string::npos, char instead = '?') {
    if (text.size() > max_bytes) {
        text.resize(max_bytes);
    }
    for (char& c : text) {
        c = static_cast<unsigned char>(c) < ' ' || c == 0x7f ? instead : c;
    }
    return text;
}

/// The same of lines that a program or a console has printed.
inline std::string joined_lines(std::string text) {
    return one_line(std::move(text), std::string::npos, ' ');
}

/// The last line that is not empty of what a program has printed.
inline std::string last_line(std::string text) {
    while (text.ends_with('\n')) {
        text.pop_back();
    }
    return text.substr(text.rfind('\n') + 1);
}

} // namespace cppvm
