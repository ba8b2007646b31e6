#include "tests/e2e/probe/probe.hpp"

#include <algorithm>
#include <array>
#include <sstream>

namespace cppvm::probe {

namespace {

Json sorted_words(const std::string& text) {
    std::vector<std::string> words;
    std::istringstream stream(text);
    for (std::string word; std::getline(stream, word, ',');) {
        words.push_back(word);
    }
    std::sort(words.begin(), words.end());
    return words;
}

/// Of file systems that the kernel itself makes. Others are those of a disk or a share: what the
/// host has them on is nothing of the container's.
bool is_of_the_kernel(const std::string& type) {
    constexpr std::array types = {
        "proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"
    };
    return std::find(types.begin(), types.end(), type) != types.end();
}

/// Options of the file system, without those that a kernel adds by itself, and without its being
/// read-only, which is the mount's to be, too.
Json file_system_options(const std::string& text) {
    Json result = Json::array();
    for (const Json& option : sorted_words(text)) {
        if (option != "ro" && option != "rw" && option != "inode64") {
            result.push_back(option);
        }
    }
    return result;
}

/// The optional fields of proc_pid_mountinfo(5); numbers of peer groups mean nothing.
std::string propagation(const std::vector<std::string>& fields) {
    std::string result;
    for (const std::string& field : fields) {
        const std::string kind = field.substr(0, field.find(':'));
        result += kind == "propagate_from" ? "" : kind + " ";
    }
    return result.empty() ? "private" : result.substr(0, result.size() - 1);
}

} // namespace

Json mounts() {
    Json result;
    std::istringstream lines(read_text("/proc/self/mountinfo", 16UL << 20));
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string id, parent, device, root, point, options, type, source, super;
        words >> id >> parent >> device >> root >> point >> options;
        std::vector<std::string> optional;
        for (std::string word; words >> word && word != "-";) {
            optional.push_back(word);
        }
        words >> type >> source >> super;
        // A directory of a tmpfs is one of the host's, too.
        const bool of_the_kernel = is_of_the_kernel(type) && (type != "tmpfs" || root == "/");
        result[point].push_back(
            {{"type", of_the_kernel ? type : "files"},
             {"options", sorted_words(options)},
             {"super", of_the_kernel ? file_system_options(super) : Json::array()},
             {"propagation", propagation(optional)}}
        );
    }
    return result;
}

} // namespace cppvm::probe
