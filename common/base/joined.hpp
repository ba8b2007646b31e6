#pragma once

#include <string>
#include <string_view>

namespace cppvm {

/// The words of a list, each a string or a path, with `separator` between two.
template <class Words>
std::string joined(const Words& words, std::string_view separator) {
    std::string text;
    bool first = true;
    for (const auto& each : words) {
        const std::string& word = each; // a path converts
        text.append(first ? "" : separator).append(word);
        first = false;
    }
    return text;
}

} // namespace cppvm
