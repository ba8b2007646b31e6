#include "vmimage/cpio.hpp"

#include "common/base/error.hpp"

#include <array>
#include <cstdio>
#include <limits>
#include <sys/stat.h>

namespace cppvm::vmimage {

namespace {
constexpr std::string_view trailer = "TRAILER!!!";
constexpr std::size_t block_bytes = 512;
} // namespace

void CpioWriter::pad(std::size_t alignment) {
    archive_.append((alignment - archive_.size() % alignment) % alignment, '\0');
}

void CpioWriter::add(
    std::string_view path, std::string_view content, unsigned mode, unsigned links
) {
    if (content.size() > std::numeric_limits<std::uint32_t>::max()) {
        throw Error(Code::resource_exhausted, "add " + std::string(path) + ": larger than 4 GiB");
    }
    // Fields of the newc header, each eight hex digits: inode, mode, uid, gid, links, mtime, size,
    // device (major, minor), device number of a node (major, minor), name with NUL, checksum.
    const std::array<std::uint32_t, 13> fields = {
        path == trailer ? 0 : next_inode_++,
        mode,
        0,
        0,
        links,
        0,
        static_cast<std::uint32_t>(content.size()),
        0,
        0,
        0,
        0,
        static_cast<std::uint32_t>(path.size() + 1),
        0,
    };
    archive_.append("070701");
    for (const std::uint32_t field : fields) {
        std::array<char, 9> digits{};
        std::snprintf(digits.data(), digits.size(), "%08X", field);
        archive_.append(digits.data());
    }
    archive_.append(path).append(1, '\0');
    pad(4);
    archive_.append(content);
    pad(4);
}

void CpioWriter::add_directory(std::string_view path, unsigned mode) {
    add(path, {}, S_IFDIR | mode, 2);
}

void CpioWriter::add_file(std::string_view path, std::string_view content, unsigned mode) {
    add(path, content, S_IFREG | mode, 1);
}

std::string CpioWriter::finish() {
    add(trailer, {}, 0, 1);
    pad(block_bytes);
    return std::move(archive_);
}

} // namespace cppvm::vmimage
