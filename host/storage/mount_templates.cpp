#include "host/storage/mount_templates.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/base/take_part.hpp"

#include <optional>
#include <string_view>
#include <utility>

namespace cppvm::storage {

namespace {

constexpr std::string_view format_step = "format/";
constexpr std::string_view mkdir_step = "mkdir/";
constexpr std::string_view mkdir_option = "X-containerd.mkdir.path=";

[[noreturn]] void refuse(std::string_view what, std::string_view problem) {
    throw Error(
        Code::invalid_argument, "expand mount '" + std::string(what) + "': " + std::string(problem)
    );
}

const std::string& place(std::string_view number, std::span<const std::string> places) {
    const auto index = to_number<std::size_t>(number);
    if (!index || *index >= places.size()) {
        refuse(number, "no earlier mount has this number");
    }
    return places[*index];
}

// The lower directories of an overlay, the top one first; numbers may go down.
std::string range(std::string_view from, std::string_view to, std::span<const std::string> places) {
    const std::string* next = &place(from, places);
    const std::string* const last = &place(to, places);
    std::string joined = *next;
    while (next != last) {
        next += next < last ? 1 : -1;
        joined += ":" + *next;
    }
    return joined;
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const std::string_view word = take_part(text, ' ');
        if (!word.empty()) {
            words.push_back(word);
        }
    }
    return words;
}

std::string meaning(std::string_view name, std::span<const std::string> places) {
    const auto words = words_of(name);
    if (words.size() == 2 && words[0] == "mount") {
        return place(words[1], places);
    }
    if (words.size() == 3 && words[0] == "overlay") {
        return range(words[1], words[2], places);
    }
    refuse(name, "only {{ mount N }} and {{ overlay N M }} have a meaning");
}

std::string expand_text(std::string_view text, std::span<const std::string> places) {
    constexpr std::string_view open = "{{";
    constexpr std::string_view close = "}}";
    std::string result;
    for (;;) {
        const auto begin = text.find(open);
        result += text.substr(0, begin);
        if (begin == std::string_view::npos) {
            return result;
        }
        const auto end = text.find(close, begin);
        if (end == std::string_view::npos) {
            refuse(text, "'}}' is missing");
        }
        result += meaning(text.substr(begin + open.size(), end - begin - open.size()), places);
        text.remove_prefix(end + close.size());
    }
}

/// "PATH" or "PATH:MODE", whose owner is ours.
ExpandedMount::Directory to_directory(std::string_view text) {
    std::string_view rest = text;
    ExpandedMount::Directory directory{.path = std::string(take_part(rest, ':'))};
    if (rest.empty()) {
        return directory;
    }
    const auto mode = to_number<mode_t>(rest, 8);
    if (!mode || *mode > 0777) {
        refuse(text, "the directory's mode must be an octal number, without an owner after it");
    }
    directory.mode = *mode;
    return directory;
}

} // namespace

bool is_template(const MountSpec& mount) {
    return mount.type.starts_with(format_step) || mount.type.starts_with(mkdir_step);
}

ExpandedMount expand(const MountSpec& mount, std::span<const std::string> places) {
    std::string_view type = mount.type;
    while (type.starts_with(format_step) || type.starts_with(mkdir_step)) {
        take_part(type, '/');
    }
    if (type.find('/') != std::string_view::npos) {
        throw Error(
            Code::unimplemented,
            "mount " + mount.type + ": only the steps 'format/' and 'mkdir/' are known"
        );
    }
    ExpandedMount result{
        {std::string(type), expand_text(mount.source, places), mount.target, {}}, {}
    };
    for (const std::string& option : mount.options) {
        std::string text = expand_text(option, places);
        if (text.starts_with(mkdir_option)) {
            result.directories.push_back(
                to_directory(std::string_view(text).substr(mkdir_option.size()))
            );
        } else {
            result.mount.options.push_back(std::move(text));
        }
    }
    return result;
}

} // namespace cppvm::storage
