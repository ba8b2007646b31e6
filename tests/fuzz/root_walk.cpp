// The walk through a container's root, over trees of an image's making: the input makes
// directories, files and links, then paths are looked up and made. Nothing outside of the root is
// ever reached.
//
// Input: lines of a letter and a path ("d a/b", "f a/b/c"), or of a letter, a path and a target ("l
// a
// ../../x"); what cannot be made is skipped. The paths are also those that are walked.

#include "guest-agent/setup/root_walk.hpp"

#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace {

using namespace cppvm;
namespace fs = std::filesystem;

/// <base>/root is the container's; <base>/secret must not be reached, nor anything beside it made.
class Tree {
  public:
    Tree() {
        fs::create_directories(base_ / "root");
        UniqueFd(::open((base_ / "secret").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        root_ = open_file(base_ / "root", O_PATH | O_DIRECTORY);
    }
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;
    ~Tree() { fs::remove_all(base_); }

    int root() const { return root_.get(); }

    void make(char kind, const std::string& path, const std::string& target) const {
        // Only the fuzz target's own step needs care: a link of the input must not lead it outside.
        const UniqueFd parent = open_parent(path);
        const std::string name = fs::path(path).filename();
        if (!parent || name.empty() || name == "." || name == "..") {
            return;
        }
        if (kind == 'd') {
            ::mkdirat(parent.get(), name.c_str(), 0755);
        } else if (kind == 'f') {
            UniqueFd(::openat(
                parent.get(), name.c_str(), O_CREAT | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600
            ));
        } else {
            static_cast<void>(::symlinkat(target.c_str(), parent.get(), name.c_str()));
        }
    }

    void check(const UniqueFd& node) const {
        if (node) {
            const std::string link = "/proc/self/fd/" + std::to_string(node.get());
            const std::string path = fs::read_symlink(link).native();
            const std::string root = (base_ / "root").native();
            CPPVM_ASSERT(path == root || path.starts_with(root + "/"));
        }
        const auto beside = std::distance(fs::directory_iterator(base_), fs::directory_iterator());
        CPPVM_ASSERT(beside == 2);
    }

  private:
    UniqueFd open_parent(const std::string& path) const {
        UniqueFd at(::dup(root_.get()));
        const fs::path parent = fs::path(path).relative_path().parent_path();
        for (const fs::path& part : parent) {
            if (part == "..") {
                return {};
            }
            at = UniqueFd(
                ::openat(at.get(), part.c_str(), O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC)
            );
            if (!at) {
                return {};
            }
        }
        return at;
    }

    std::string name_ = "/dev/shm/cppvm-fuzz-walk.XXXXXX"; // trees come and go all the time
    fs::path base_ = ::mkdtemp(name_.data());
    UniqueFd root_;
};

template <class F>
void walk(const Tree& tree, F step) {
    try {
        tree.check(step());
    } catch (const Error& error) {
        CPPVM_ASSERT(!error.message().empty());
        tree.check({});
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t max_input = 2048;
    constexpr std::size_t max_paths = 32;
    std::string_view text(reinterpret_cast<const char*>(data), std::min(size, max_input));
    const Tree tree;
    std::vector<std::string> paths;
    while (!text.empty() && paths.size() < max_paths) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line.size() < 3 || line.find('\0') != std::string_view::npos) {
            continue;
        }
        const std::string_view words = line.substr(2);
        const std::size_t space = std::min(words.find(' '), words.size());
        paths.emplace_back(words.substr(0, space));
        tree.make(
            line[0], paths.back(), std::string(words.substr(std::min(space + 1, words.size())))
        );
    }
    for (const std::string& path : paths) {
        walk(tree, [&] { return guest::resolve_in_root(tree.root(), path); });
    }
    for (const std::string& path : paths) {
        walk(tree, [&] { return guest::make_in_root(tree.root(), path, guest::NodeKind::file); });
        walk(tree, [&] {
            return guest::make_in_root(tree.root(), path + "/x", guest::NodeKind::directory);
        });
        walk(tree, [&] { return guest::make_parent_in_root(tree.root(), path).parent; });
    }
    return 0;
}
