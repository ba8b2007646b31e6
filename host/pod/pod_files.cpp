#include "host/pod/pod_files.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <string_view>
#include <unistd.h>

namespace cppvm::pod {

namespace {

constexpr std::size_t max_resolv_conf_bytes = 64UL * 1024;

void add_words(
    std::string& text,
    std::string_view keyword,
    const std::vector<std::string>& words,
    const std::string& field
) {
    for (const std::string& word : words) {
        if (word.empty() || word.find_first_of(" \t\r\n") != std::string::npos ||
            word.find('\0') != std::string::npos) {
            throw Error(
                Code::invalid_argument, field + ": '" + word.substr(0, 128) + "' is not one word"
            );
        }
    }
    if (words.empty()) {
        return;
    }
    text.append(keyword);
    for (const std::string& word : words) {
        text.append(" ").append(word);
    }
    text.append("\n");
}

std::string read_resolv_conf() {
    try {
        return read_file("/etc/resolv.conf", max_resolv_conf_bytes);
    } catch (const Error& error) {
        if (error.cause().value() == ENOENT) {
            return "";
        }
        throw;
    }
}

} // namespace

HostNames read_host_names() {
    std::array<char, HOST_NAME_MAX + 1> name{};
    if (::gethostname(name.data(), name.size()) != 0) {
        throw_errno("read", "host name");
    }
    return {name.data(), read_resolv_conf()};
}

std::string make_resolv_conf(
    const std::vector<std::string>& servers,
    const std::vector<std::string>& searches,
    const std::vector<std::string>& options
) {
    std::string text;
    add_words(text, "search", searches, "dns_config.searches");
    for (const std::string& server : servers) {
        add_words(text, "nameserver", {server}, "dns_config.servers");
    }
    add_words(text, "options", options, "dns_config.options");
    return text;
}

std::vector<PodFile>
write_pod_files(const PodFiles& files, const std::filesystem::path& directory) {
    make_directory(directory, 0755);
    const std::array<std::pair<const char*, const std::string*>, 3> all{{
        {"hosts", &files.hosts},
        {"hostname", &files.hostname},
        {"resolv.conf", &files.resolv_conf},
    }};
    std::vector<PodFile> written;
    for (const auto& [name, content] : all) {
        const auto path = directory / name;
        write_file_atomically(path, *content, 0644);
        written.push_back({path, std::string("/etc/") + name});
    }
    return written;
}

} // namespace cppvm::pod
