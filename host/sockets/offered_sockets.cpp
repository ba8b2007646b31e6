#include "host/sockets/offered_sockets.hpp"

#include <algorithm>
#include <sys/stat.h>
#include <system_error>

namespace cppvm::sockets {

namespace {

using std::filesystem::path;

// A directory is watched over by nobody: one with more is not there for its sockets.
constexpr std::size_t max_in_directory = 64;

/// Names are compared as wholes: /run/a is not below /run/ab.
bool is_at_or_below(const path& where, const path& top) {
    const auto [end, rest] = std::mismatch(top.begin(), top.end(), where.begin(), where.end());
    // "/run/a/" ends with an empty name.
    return end == top.end() || (std::next(end) == top.end() && end->empty());
}

path resolved(const path& name) {
    std::error_code ignored;
    return std::filesystem::canonical(name, ignored); // empty: there is no such thing
}

/// Of `opened`, the one that allows `name`, both as they are written and as they resolve.
bool is_opened(const std::vector<path>& opened, const path& name, const path& real) {
    return !real.empty() && std::ranges::any_of(opened, [&](const path& top) {
        const path real_top = resolved(top);
        return is_at_or_below(name, top.lexically_normal()) && !real_top.empty() &&
               is_at_or_below(real, real_top);
    });
}

/// Appends the socket at `real`, if that is one.
void add_socket(std::vector<storage::HostSocket>& sockets, const path& real, std::string name) {
    struct stat status{};
    if (::lstat(real.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
        sockets.push_back(
            {real, std::move(name), status.st_uid, status.st_gid, status.st_mode & 07777U}
        );
    }
}

} // namespace

std::vector<storage::HostSocket> find_offered(const std::vector<path>& opened, const path& source) {
    std::vector<storage::HostSocket> sockets;
    const path name = source.lexically_normal();
    const bool is_named = std::ranges::any_of(opened, [&](const path& top) {
        return is_at_or_below(name, top.lexically_normal());
    });
    if (!is_named) {
        return sockets;
    }
    const path real = resolved(name);
    if (!is_opened(opened, name, real)) {
        return sockets;
    }
    add_socket(sockets, real, "");
    std::error_code ignored;
    for (std::filesystem::directory_iterator entry(real, ignored), end;
         !ignored && entry != end && sockets.size() < max_in_directory;
         entry.increment(ignored)) {
        add_socket(sockets, entry->path(), entry->path().filename());
    }
    std::ranges::sort(sockets, {}, &storage::HostSocket::name);
    return sockets;
}

} // namespace cppvm::sockets
