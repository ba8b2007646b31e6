#include "guest-agent/setup/root_walk.hpp"

#include "common/base/error.hpp"
#include "common/base/take_part.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <filesystem>
#include <linux/magic.h>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <vector>

namespace cppvm::guest {

namespace {

constexpr int max_links = 40; // as the kernel's own limit, path_resolution(7)

/// Components still to be walked, the next one last.
void push_components(std::vector<std::string>& pending, std::string_view path) {
    std::vector<std::string> components;
    while (!path.empty()) {
        const std::string_view component = take_part(path, '/');
        if (!component.empty() && component != ".") {
            components.emplace_back(component);
        }
    }
    pending.insert(pending.end(), components.rbegin(), components.rend());
}

class Walk {
  public:
    Walk(int root, std::string_view path) : root_(root), path_(path) {}

    UniqueFd run(std::optional<NodeKind> create) {
        push_components(pending_, path_);
        while (!pending_.empty()) {
            const std::string name = std::move(pending_.back());
            pending_.pop_back();
            if (name == "..") {
                if (!stack_.empty()) {
                    stack_.pop_back();
                }
                continue;
            }
            UniqueFd node = open_component(name);
            if (!node) {
                if (!create) {
                    return {};
                }
                node = make_component(name, pending_.empty() ? *create : NodeKind::directory);
            }
            struct stat status{};
            if (::fstat(node.get(), &status) != 0) {
                throw_errno("stat", path_);
            }
            if (S_ISLNK(status.st_mode)) {
                follow(node.get());
            } else {
                stack_.push_back(std::move(node));
            }
        }
        if (!stack_.empty()) {
            return std::move(stack_.back());
        }
        UniqueFd root(::openat(root_, ".", O_PATH | O_CLOEXEC));
        if (!root) {
            throw_errno("open", path_);
        }
        return root;
    }

  private:
    int current() const { return stack_.empty() ? root_ : stack_.back().get(); }

    UniqueFd open_component(const std::string& name) const {
        UniqueFd node(::openat(current(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        if (!node && errno != ENOENT && errno != ENOTDIR) {
            throw_errno("open", path_);
        }
        return node;
    }

    UniqueFd make_component(const std::string& name, NodeKind kind) const {
        if (kind == NodeKind::directory) {
            if (::mkdirat(current(), name.c_str(), 0755) != 0 && errno != EEXIST) {
                throw_errno("create directory", path_);
            }
        } else {
            const UniqueFd file(::openat(
                current(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644
            ));
            if (!file && errno != EEXIST) {
                throw_errno("create file", path_);
            }
        }
        UniqueFd node = open_component(name);
        if (!node) {
            throw_errno("create", path_, ENOENT);
        }
        return node;
    }

    void follow(int link) {
        struct statfs file_system{};
        if (::fstatfs(link, &file_system) != 0) {
            throw_errno("statfs", path_);
        }
        std::array<char, PATH_MAX> target{};
        const ssize_t size = ::readlinkat(link, "", target.data(), target.size());
        if (size <= 0 || static_cast<std::size_t>(size) == target.size() || ++links_ > max_links) {
            throw_errno("follow link", path_, size < 0 ? errno : ELOOP);
        }
        const std::string_view text(target.data(), static_cast<std::size_t>(size));
        // /proc/self and /proc/mounts are honest relative links; the magic ones are absolute or
        // name no path at all ("pipe:[1]").
        if (file_system.f_type == PROC_SUPER_MAGIC &&
            (text.front() == '/' || text.find(':') != std::string_view::npos)) {
            throw_errno("follow link of procfs", path_, ELOOP);
        }
        if (text.front() == '/') {
            stack_.clear();
        }
        push_components(pending_, text);
    }

    int root_;
    std::string path_;
    std::vector<std::string> pending_;
    std::vector<UniqueFd> stack_;
    int links_ = 0;
};

} // namespace

NodeKind kind_of(int fd, const std::string& name) {
    struct stat status{};
    if (::fstat(fd, &status) != 0) {
        throw_errno("stat", name);
    }
    return S_ISDIR(status.st_mode) ? NodeKind::directory : NodeKind::file;
}

std::string clean_path(std::string_view path) {
    std::string clean = std::filesystem::path("/" + std::string(path)).lexically_normal().native();
    if (clean.size() > 1 && clean.ends_with('/')) {
        clean.pop_back();
    }
    return clean;
}

UniqueFd resolve_in_root(int root, std::string_view path) {
    return Walk(root, path).run(std::nullopt);
}

UniqueFd make_in_root(int root, std::string_view path, NodeKind kind) {
    return Walk(root, path).run(kind);
}

UniqueFd make_plain_in_root(int root, std::string_view path, NodeKind kind) {
    const std::string clean = clean_path(path);
    const NodePlace place = make_parent_in_root(root, clean);
    const std::string name(place.name);
    const auto open = [&] {
        return UniqueFd(::openat(place.parent.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)
        );
    };
    UniqueFd node = open();
    if (!node && errno == ENOENT) {
        make_in_root(place.parent.get(), name, kind);
        node = open();
    }
    struct stat status{};
    if (!node || ::fstat(node.get(), &status) != 0) {
        throw_errno("open", clean);
    }
    if (S_ISLNK(status.st_mode) || kind_of(node.get(), clean) != kind) {
        throw Error(
            Code::failed_precondition,
            "mount " + clean + ": must be an ordinary " +
                (kind == NodeKind::directory ? "directory" : "file") + " in the image"
        );
    }
    return node;
}

NodePlace make_parent_in_root(int root, std::string_view path) {
    const std::size_t slash = path.rfind('/');
    const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
    if (name.empty() || name == "." || name == "..") {
        throw Error(Code::invalid_argument, "create " + std::string(path) + ": names no node");
    }
    return {
        make_in_root(root, path.substr(0, path.size() - name.size()), NodeKind::directory), name
    };
}

} // namespace cppvm::guest
