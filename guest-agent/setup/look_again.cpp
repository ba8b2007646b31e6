#include "guest-agent/setup/look_again.hpp"

#include "common/base/take_part.hpp"
#include "common/base/unique_fd.hpp"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

UniqueFd open_directory(int directory, const std::string& name) {
    return UniqueFd(::openat(directory, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    );
}

} // namespace

// Before it creates a name, the kernel looks it up on the host, whatever it has cached
// (LOOKUP_EXCL, fuse_dentry_revalidate()). Nothing is created: hard links to directories are
// refused after that.
bool look_again_at(int directory, const std::string& name) noexcept {
    return ::linkat(AT_FDCWD, "/", directory, name.c_str(), 0) != 0 && errno == EEXIST;
}

void look_again(int directory, std::string_view path) noexcept {
    UniqueFd below = open_directory(directory, ".");
    // Each name before what is below it: another directory may have its place now. A name that is
    // a link, or "..", leads nowhere.
    while (below && !path.empty()) {
        const std::string name(take_part(path, '/'));
        if (name == ".." || !look_again_at(below.get(), name)) {
            return;
        }
        below = open_directory(below.get(), name);
    }
}

} // namespace cppvm::guest
