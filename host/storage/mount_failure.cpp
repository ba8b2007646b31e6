#include "host/storage/mount_failure.hpp"

#include "common/base/error.hpp"
#include "common/base/take_part.hpp"
#include "common/base/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <string_view>
#include <sys/mount.h>

namespace cppvm::storage {

namespace {

constexpr std::size_t max_shown = 200;

// The messages of an fs context: one per read(2), "e text" for errors.
std::string read_log(int context) {
    std::string text;
    std::array<char, 512> line{};
    for (int i = 0; i < 16; ++i) {
        const ssize_t size = ::read(context, line.data(), line.size());
        if (size <= 2) {
            break;
        }
        if (line[0] == 'e') {
            text.append(text.empty() ? "" : "; ");
            text.append(line.data() + 2, static_cast<std::size_t>(size) - 2);
        }
    }
    while (text.ends_with('\n')) {
        text.pop_back();
    }
    return text;
}

// mount(2) returns only an errno. Offering the options one by one to an fs context that is never
// mounted gives the kernel's words for the first that it refuses.
std::string ask_kernel(const std::string& type, std::string_view data) {
    const UniqueFd context(::fsopen(type.c_str(), FSOPEN_CLOEXEC));
    if (!context) {
        return "";
    }
    while (!data.empty()) {
        const std::string option(take_part(data, ','));
        const std::size_t equals = option.find('=');
        const std::string key = option.substr(0, equals);
        const int result =
            equals == std::string::npos
                ? ::fsconfig(context.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
                : ::fsconfig(
                      context.get(),
                      FSCONFIG_SET_STRING,
                      key.c_str(),
                      option.c_str() + equals + 1,
                      0
                  );
        if (result != 0) {
            return read_log(context.get());
        }
    }
    return "";
}

} // namespace

void throw_mount_failure(const MountSpec& spec, const std::string& data, int error) {
    std::string what = "mount " + spec.type + " " + spec.source.substr(0, max_shown);
    if (error == ENODEV) {
        throw Error(
            Code::failed_precondition,
            what + ": the host's kernel knows no file system of type '" + spec.type +
                "'; load its module, or use a snapshotter without it",
            std::error_code(error, std::system_category())
        );
    }
    if (!data.empty()) {
        what +=
            " with options '" + data.substr(0, max_shown) + (data.size() > max_shown ? "…'" : "'");
    }
    const std::string words = ask_kernel(spec.type, data);
    if (!words.empty()) {
        what += ": " + words.substr(0, max_shown);
    }
    throw_errno(what, "", error);
}

} // namespace cppvm::storage
