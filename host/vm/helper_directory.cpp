#include "host/vm/helper_directory.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <unistd.h>
#include <utility>

namespace cppvm::vm {

namespace {

void remove_tree(const std::filesystem::path& path) noexcept {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
}

} // namespace

HelperDirectory::HelperDirectory(std::filesystem::path path, std::optional<uid_t> user)
    : path_(std::move(path)), user_(user) {
    // What a killed predecessor left would be taken for the new one's.
    remove_tree(path_);
    make_directory(path_, 0711); // QEMU, another user, passes
    give("");
}

HelperDirectory::~HelperDirectory() {
    remove_tree(path_);
}

void HelperDirectory::give(const std::string& name) const {
    const auto path = name.empty() ? path_ : path_ / name;
    if (user_ && ::lchown(path.c_str(), *user_, *user_) != 0) {
        throw_errno("give to a helper's user:", path.native());
    }
}

} // namespace cppvm::vm
