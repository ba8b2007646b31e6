#include "tests/e2e/probe/attempt.hpp"
#include "tests/e2e/probe/probe.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace cppvm::probe {

namespace {

std::string octal(mode_t mode) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%04o", mode & 07777U);
    return text.data();
}

Json describe(const std::string& path, const struct stat& status) {
    if (S_ISLNK(status.st_mode)) {
        std::array<char, PATH_MAX> target{};
        const auto length = ::readlink(path.c_str(), target.data(), target.size() - 1);
        return {{"link", length < 0 ? error_name(errno) : target.data()}};
    }
    Json result = {{"mode", octal(status.st_mode)}, {"uid", status.st_uid}, {"gid", status.st_gid}};
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
        result["number"] = (S_ISCHR(status.st_mode) ? "c " : "b ") +
                           std::to_string(major(status.st_rdev)) + ":" +
                           std::to_string(minor(status.st_rdev));
        for (const auto& [name, flags] :
             {std::pair("reads", O_RDONLY), std::pair("writes", O_WRONLY)}) {
            result[name] = attempt([&] {
                return error_of(::open(path.c_str(), flags | O_NONBLOCK | O_NOCTTY));
            });
        }
    } else {
        result["kind"] = S_ISDIR(status.st_mode)    ? "directory"
                         : S_ISFIFO(status.st_mode) ? "fifo"
                                                    : "file";
    }
    return result;
}

void walk(const std::string& directory, Json& result) {
    DIR* const entries = ::opendir(directory.c_str());
    if (entries == nullptr) {
        result[directory] = error_name(errno);
        return;
    }
    while (const dirent* const entry = ::readdir(entries)) {
        const std::string name = entry->d_name;
        const std::string path = directory + "/" + name;
        struct stat status{};
        if (name == "." || name == ".." || ::lstat(path.c_str(), &status) != 0) {
            continue;
        }
        result[path] = describe(path, status);
        if (S_ISDIR(status.st_mode) && path != "/dev/pts") { // its names count up
            walk(path, result);
        }
    }
    ::closedir(entries);
}

} // namespace

Json devices() {
    Json result;
    walk("/dev", result);
    return result;
}

} // namespace cppvm::probe
