#include "tests/e2e/hostile/behaviour.hpp"

#include <sstream>

namespace cppvm::hostile {

Behaviour Behaviour::of_kernel_command_line(std::string_view text) {
    constexpr std::string_view prefix = "hostile.";
    Behaviour behaviour;
    std::istringstream stream{std::string(text)};
    for (std::string word; stream >> word;) {
        if (word.starts_with(prefix)) {
            behaviour.add(std::string_view(word).substr(prefix.size()));
        }
    }
    return behaviour;
}

Behaviour Behaviour::with(std::span<const std::string> arguments) const {
    Behaviour behaviour = *this;
    for (const std::string& word : arguments) {
        behaviour.add(word);
    }
    return behaviour;
}

std::string Behaviour::get(const std::string& key) const {
    const auto found = words_.find(key);
    return found == words_.end() ? "" : found->second;
}

void Behaviour::add(std::string_view word) {
    const std::size_t equals = word.find('=');
    if (equals != std::string_view::npos) {
        words_[std::string(word.substr(0, equals))] = word.substr(equals + 1);
    }
}

} // namespace cppvm::hostile
