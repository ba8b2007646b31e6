#include "host/network/resolv_conf.hpp"

#include "common/base/take_part.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"
#include "common/os/forked_child.hpp"

#include <algorithm>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::network {

namespace {

constexpr std::size_t max_servers = 3; // more are not asked (MAXNS of resolv.h)
constexpr std::size_t max_bytes = 64UL * 1024;

/// The beginning of a file; nothing of what is none, a fifo for example.
std::string read_beginning(const std::filesystem::path& path) {
    const UniqueFd file = open_file(path, O_RDONLY | O_NONBLOCK);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
        return {};
    }
    std::string text(max_bytes, '\0');
    const ssize_t size = ::read(file.get(), text.data(), text.size());
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return text;
}

} // namespace

std::vector<asio::ip::address> loopback_name_servers(std::string_view resolv_conf) {
    std::vector<asio::ip::address> found;
    while (!resolv_conf.empty() && found.size() < max_servers) {
        std::string_view line = take_part(resolv_conf, '\n');
        if (take_word(line) != "nameserver") {
            continue;
        }
        boost::system::error_code error;
        const auto address = asio::ip::make_address(std::string(take_word(line)), error);
        if (!error && address.is_loopback() && std::ranges::find(found, address) == found.end()) {
            found.push_back(address);
        }
    }
    return found;
}

Awaitable<std::vector<asio::ip::address>> read_loopback_name_servers(
    const asio::any_io_executor& executor, std::filesystem::path resolv_conf, Deadline deadline
) {
    const auto work = [&resolv_conf](ParentLink& parent) {
        std::string lines;
        for (const auto& server : loopback_name_servers(read_beginning(resolv_conf))) {
            lines.append("nameserver ").append(server.to_string()).append("\n");
        }
        parent.send(lines);
    };
    ForkedChild child(executor, "read " + resolv_conf.native(), {}, work);
    const std::string lines = co_await child.receive(deadline);
    co_await child.finish(deadline);
    co_return loopback_name_servers(lines);
}

} // namespace cppvm::network
