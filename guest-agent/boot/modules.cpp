#include "guest-agent/boot/modules.hpp"

#include "common/base/error.hpp"
#include "common/base/take_part.hpp"
#include "common/os/file.hpp"

#include <cerrno>
#include <fcntl.h>
#include <linux/module.h>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

constexpr std::size_t max_list_bytes = 64UL * 1024;

void load(const std::string& path) {
    const UniqueFd file = open_file(path, O_RDONLY);
    const int flags = path.ends_with(".ko") ? 0 : MODULE_INIT_COMPRESSED_FILE;
    if (::syscall(SYS_finit_module, file.get(), "", flags) != 0 && errno != EEXIST) {
        throw_errno("load module", path);
    }
}

} // namespace

void load_modules(const std::filesystem::path& list) {
    std::string text;
    try {
        text = read_file(list, max_list_bytes);
    } catch (const Error& error) {
        if (error.cause().value() == ENOENT) {
            return;
        }
        throw;
    }
    for (std::string_view rest = text; !rest.empty();) {
        const std::string_view module = take_part(rest, '\n');
        if (!module.empty()) {
            load(std::string(module));
        }
    }
}

} // namespace cppvm::guest
