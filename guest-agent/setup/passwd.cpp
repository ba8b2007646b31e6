#include "guest-agent/setup/passwd.hpp"

#include "common/base/number.hpp"
#include "common/base/take_part.hpp"

namespace cppvm::guest {

namespace {

constexpr int id_field = 2;
constexpr int home_field = 5;

std::string_view field(std::string_view line, int number) {
    for (; number > 0; --number) {
        take_part(line, ':');
    }
    return take_part(line, ':');
}

bool is_entry_of(uid_t uid, std::string_view line) {
    return to_number<uid_t>(field(line, id_field)) == uid;
}

} // namespace

std::string home_of(uid_t uid, std::string_view passwd) {
    while (!passwd.empty()) {
        const std::string_view line = take_part(passwd, '\n');
        if (is_entry_of(uid, line)) {
            return std::string(field(line, home_field));
        }
    }
    return {};
}

} // namespace cppvm::guest
