#include "guest-agent/setup/passwd.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace cppvm::guest {

namespace {

constexpr int id_field = 2;
constexpr int home_field = 5;

std::string_view field(std::string_view line, int number) {
    for (; number > 0; --number) {
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) {
            return {};
        }
        line.remove_prefix(colon + 1);
    }
    return line.substr(0, line.find(':'));
}

bool is_entry_of(uid_t uid, std::string_view line) {
    const std::string_view id = field(line, id_field);
    uid_t found = 0;
    const auto result = std::from_chars(id.data(), id.data() + id.size(), found);
    return !id.empty() && result.ec == std::errc{} && result.ptr == id.data() + id.size() &&
           found == uid;
}

} // namespace

std::string home_of(uid_t uid, std::string_view passwd) {
    for (std::size_t at = 0; at < passwd.size();) {
        const std::size_t end = std::min(passwd.find('\n', at), passwd.size());
        const std::string_view line = passwd.substr(at, end - at);
        if (is_entry_of(uid, line)) {
            return std::string(field(line, home_field));
        }
        at = end + 1;
    }
    return {};
}

} // namespace cppvm::guest
