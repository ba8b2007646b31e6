#include "host/check/check.hpp"

#include "common/base/error.hpp"

#include <utility>

namespace cppvm::check {

Check ok(std::string name, std::string detail) {
    return {std::move(name), State::ok, std::move(detail), {}};
}

Check warning(std::string name, std::string detail, std::string remedy) {
    return {std::move(name), State::warning, std::move(detail), std::move(remedy)};
}

Check missing(std::string name, std::string detail, std::string remedy) {
    return {std::move(name), State::missing, std::move(detail), std::move(remedy)};
}

std::string to_text(const Check& check) {
    std::string text = check.name + ": " + check.detail;
    if (!check.remedy.empty()) {
        text.append("; ").append(check.remedy);
    }
    return text;
}

void require(const Check& check) {
    if (check.state == State::missing) {
        throw Error(Code::failed_precondition, to_text(check));
    }
}

} // namespace cppvm::check
