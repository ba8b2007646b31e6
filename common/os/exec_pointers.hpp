#pragma once

#include <string>
#include <vector>

namespace cppvm {

/// Strings in the form of execve(2), with the null at the end. Borrows them.
inline std::vector<char*> exec_pointers(const std::vector<std::string>& strings) {
    std::vector<char*> pointers;
    pointers.reserve(strings.size() + 1);
    for (const std::string& string : strings) {
        pointers.push_back(const_cast<char*>(string.c_str()));
    }
    pointers.push_back(nullptr);
    return pointers;
}

} // namespace cppvm
