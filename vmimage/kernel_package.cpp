#include "vmimage/kernel_package.hpp"

#include "common/base/error.hpp"
#include "common/os/command.hpp"

#include <sstream>
#include <string_view>
#include <sys/stat.h>

namespace cppvm::vmimage {

namespace {

namespace fs = std::filesystem;

void make_directories(const fs::path& path) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) {
        throw_errno("make directory", path.native(), error.value());
    }
}

// The kernel that a meta-package stands for: its first dependency whose name has a version.
// The package itself if it has none such.
Awaitable<std::string> resolve(std::string package, Deadline deadline) {
    const std::string text = co_await run_command(
        {"/usr/bin/apt-cache", "depends", "--no-recommends", "--no-suggests", package}, deadline
    );
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        constexpr std::string_view key = "  Depends: linux-image-";
        if (line.starts_with(key)) {
            co_return line.substr(std::string_view("  Depends: ").size());
        }
    }
    co_return package;
}

struct Download {
    std::string file;
    std::uintmax_t size = 0;
};

// "'<address>' <file> <size> <hash>", one line for each package.
Download parse_uris(const std::string& text, const std::string& package) {
    std::istringstream stream(text);
    std::string address;
    Download download;
    if (!(stream >> address >> download.file >> download.size) ||
        download.file.find('/') != std::string::npos) {
        throw Error(
            Code::failed_precondition,
            "find package " + package + ": apt knows no address; run apt-get update"
        );
    }
    return download;
}

} // namespace

Awaitable<fs::path> fetch_kernel(std::string package, fs::path cache, Deadline deadline) {
    cache = fs::absolute(cache);
    make_directories(cache);
    const std::string kernel = co_await resolve(package, deadline);
    const std::string uris =
        co_await run_command({"/usr/bin/apt-get", "download", "--print-uris", kernel}, deadline);
    const Download download = parse_uris(uris, kernel);
    const fs::path file = cache / download.file;
    std::error_code error;
    if (fs::file_size(file, error) != download.size || error) {
        fs::current_path(cache);
        // apt verifies the file by the repository's signed hash. Its own user cannot write here.
        co_await run_command(
            {"/usr/bin/apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", kernel},
            deadline
        );
    }
    co_return co_await unpack_kernel(file, cache, deadline);
}

Awaitable<fs::path> unpack_kernel(fs::path file, fs::path cache, Deadline deadline) {
    file = fs::absolute(file);
    const fs::path tree = fs::absolute(cache) / file.stem();
    if (fs::exists(tree)) {
        co_return tree;
    }
    const fs::path unfinished = tree.native() + ".unfinished";
    std::error_code error;
    fs::remove_all(unfinished, error);
    make_directories(unfinished);
    co_await run_command({"/usr/bin/dpkg-deb", "-x", file, unfinished}, deadline);
    fs::rename(unfinished, tree, error);
    if (error) {
        throw_errno("rename", unfinished.native(), error.value());
    }
    co_return tree;
}

} // namespace cppvm::vmimage
