#include "host/vm/console.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/vm/unix_socket.hpp"

#include <boost/asio/buffer.hpp>

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <sys/stat.h>

namespace cppvm::vm {

namespace {

std::string read_end(const std::filesystem::path& path, std::size_t max_bytes) noexcept {
    try {
        const UniqueFd file = open_file(path, O_RDONLY);
        struct stat status{};
        if (::fstat(file.get(), &status) != 0) {
            return {};
        }
        const auto size = static_cast<std::size_t>(status.st_size);
        std::string text(std::min(size, max_bytes), '\0');
        const auto from = static_cast<off_t>(size - text.size());
        const ssize_t count = ::pread(file.get(), text.data(), text.size(), from);
        text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return text;
    } catch (const std::exception&) {
        return {}; // not there
    }
}

} // namespace

CappedFile::CappedFile(std::filesystem::path path, std::size_t max_bytes)
    : path_(std::move(path)), older_(path_.native() + ".1"),
      half_(std::max<std::size_t>(max_bytes / 2, 1)) {}

void CappedFile::rotate() {
    file_.reset();
    if (::rename(path_.c_str(), older_.c_str()) != 0) {
        throw_errno("rename", path_.native());
    }
    size_ = 0;
}

void CappedFile::write(std::string_view data) {
    while (!data.empty()) {
        if (size_ >= half_) {
            rotate();
        }
        if (!file_) {
            file_ = open_file(path_, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
        }
        const std::string_view part = data.substr(0, half_ - size_);
        write_all(file_.get(), path_.native(), part);
        size_ += part.size();
        data.remove_prefix(part.size());
    }
}

std::string CappedFile::tail(std::size_t max_bytes) const noexcept {
    std::string text = read_end(path_, max_bytes);
    if (text.size() < max_bytes) {
        text.insert(0, read_end(older_, max_bytes - text.size()));
    }
    const std::size_t newline = text.find('\n');
    if (text.size() == max_bytes && newline != std::string::npos && newline + 1 < text.size()) {
        text.erase(0, newline + 1); // the first line is a part of one
    }
    return text;
}

void CappedFile::remove() noexcept {
    file_.reset();
    ::unlink(path_.c_str());
    ::unlink(older_.c_str());
}

std::string console_tail(std::string_view console, std::size_t max_bytes) {
    std::size_t begin = console.size() - std::min(console.size(), max_bytes);
    std::size_t shown_first = console.size();
    // In full: the kernel also prints names of processes, of up to 15 characters.
    const std::size_t panic = console.find("Kernel panic - not syncing");
    if (panic < begin) {
        begin = panic - std::min(panic, max_bytes / 2);
        shown_first = panic;
    }
    const std::size_t newline = begin == 0 ? console.npos : console.find('\n', begin - 1);
    if (newline != console.npos && newline + 1 < shown_first) {
        begin = newline + 1;
    }
    return std::string(console.substr(begin, max_bytes));
}

Console::Console(
    const asio::any_io_executor& executor,
    const std::filesystem::path& run_dir,
    std::size_t max_log_bytes
)
    : socket_path_(run_dir / "console.sock"), acceptor_(listen_unix(executor, socket_path_)),
      socket_(executor), log_(run_dir / "console.log", max_log_bytes) {}

Console::~Console() {
    stop_listening();
}

void Console::stop_listening() noexcept {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    ::unlink(socket_path_.c_str());
}

Awaitable<pid_t> Console::accept(std::function<bool(const ucred&)> is_qemu) {
    for (;;) {
        auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
        const ucred peer = peer_of(socket);
        if (is_qemu(peer)) {
            socket_ = std::move(socket);
            stop_listening();
            co_return peer.pid;
        }
    }
}

Awaitable<> Console::run() {
    std::array<char, 4096> buffer{};
    for (;;) {
        auto [error, count] = co_await socket_.async_read_some(asio::buffer(buffer), use_tuple);
        if (error == asio::error::operation_aborted) {
            throw boost::system::system_error(error);
        }
        if (error) {
            co_return;
        }
        try {
            log_.write({buffer.data(), count});
        } catch (const Error&) { // NOLINT(bugprone-empty-catch)
            // A full disk: later output may fit again.
        }
    }
}

} // namespace cppvm::vm
