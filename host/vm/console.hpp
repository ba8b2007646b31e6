#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <sys/socket.h>

namespace cppvm::vm {

/// A file of bounded size: when half of the limit is reached, what was written so far becomes
/// `<path>.1`, in place of what was there, and the file starts empty.
class CappedFile {
  public:
    /// Opens on the first write. `max_bytes`: of both files together.
    CappedFile(std::filesystem::path path, std::size_t max_bytes);

    /// Throws: Error.
    void write(std::string_view data);

    /// The last bytes of both files, at most `max_bytes`, from a line's start where there is one.
    /// Empty if nothing was written; does not throw.
    std::string tail(std::size_t max_bytes) const noexcept;

    /// Takes both files away.
    void remove() noexcept;

  private:
    void rotate();

    std::filesystem::path path_;
    std::filesystem::path older_;
    std::size_t half_;
    std::size_t size_ = 0;
    UniqueFd file_;
};

/// At most `max_bytes` of a console's text that tell why the guest ended: where its kernel
/// panicked, the reason with the lines before it, because the dump that follows says little; else
/// the end. Begins with a line's start where there is one.
std::string console_tail(std::string_view console, std::size_t max_bytes);

/// The guest's serial console. QEMU connects to our socket, because a file would be unbounded or,
/// by virtlogd, bounded by the host's configuration instead of ours; and because a machine whose
/// start is still on its way in libvirt when we die then finds nobody to connect to and does not
/// start.
///
/// Owns: the socket (unlinked at the end) and the log file, which stays.
/// Thread: the loop's only.
class Console {
  public:
    /// Listens on `<run_dir>/console.sock`; the log is `<run_dir>/console.log`.
    /// Throws: Error.
    Console(
        const asio::any_io_executor& executor,
        const std::filesystem::path& run_dir,
        std::size_t max_log_bytes
    );
    ~Console();
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;

    const std::filesystem::path& socket_path() const noexcept { return socket_path_; }

    /// Until somebody has connected whom `is_qemu`, given what the kernel knows of the peer
    /// (SO_PEERCRED), takes for QEMU; others are turned away. Gives its pid. Once: the socket is
    /// gone afterwards.
    Awaitable<pid_t> accept(std::function<bool(const ucred&)> is_qemu);

    /// Closes the socket: a QEMU that starts from now on ends at once.
    void stop_listening() noexcept;

    /// Copies the console into the log until the machine closes it. Does not throw except when
    /// cancelled: a console that cannot be logged is dropped, since the guest must not wait for it.
    Awaitable<> run();

    /// The last bytes that it printed, at most `max_bytes`. Does not throw.
    std::string tail(std::size_t max_bytes) const noexcept { return log_.tail(max_bytes); }

  private:
    std::filesystem::path socket_path_;
    asio::local::stream_protocol::acceptor acceptor_;
    asio::local::stream_protocol::socket socket_;
    CappedFile log_;
};

} // namespace cppvm::vm
