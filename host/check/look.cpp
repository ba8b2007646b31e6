#include "host/check/look.hpp"

#include "common/base/take_part.hpp"
#include "common/os/file.hpp"

#include <system_error>

namespace cppvm::check {

namespace {
constexpr std::size_t max_kernel_file_bytes = std::size_t{8} * 1024 * 1024;
}

std::string reason(int error) {
    return std::system_category().message(error);
}

std::string read_kernel_file(const std::filesystem::path& path) noexcept {
    try {
        return read_file(path, max_kernel_file_bytes);
    } catch (const std::exception&) {
        return {};
    }
}

std::string_view find_line(std::string_view text, std::string_view key) {
    while (!text.empty()) {
        const std::string_view line = take_part(text, '\n');
        if (line.starts_with(key)) {
            return line;
        }
    }
    return {};
}

} // namespace cppvm::check
