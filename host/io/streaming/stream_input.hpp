#pragma once

#include "host/io/input_source.hpp"
#include "host/io/streaming/session.hpp"
#include "host/io/streaming/window.hpp"

#include <memory>
#include <string>

namespace cppvm::io::streaming {

/// A stream of a streaming server that a process's input comes from.
///
/// A writer that ends the stream ends the input. One whose connection breaks is waited for, until
/// CloseIO (`drop_write_end`) says that nobody will come; so after it either is the end. CloseIO
/// alone is not: it travels beside the stream, and may overtake what that still carries. Once the
/// input is closed the writer is told so, by the end of our side of the stream.
///
/// Memory: a window, 64 KiB. Owns: the connection. Thread: the loop's only.
class StreamInput : public InputSource, private Session::Listener {
  public:
    /// Throws: as Channel::open; nothing is left.
    static Awaitable<std::unique_ptr<StreamInput>> open(
        Logger logger,
        Address address,
        std::string containerd_namespace,
        Session::Limits limits = {}
    );

    /// Use `open`.
    StreamInput(
        const asio::any_io_executor& executor,
        const Logger& logger,
        Address address,
        std::string containerd_namespace,
        Session::Limits limits
    );

    Awaitable<> wait_readable() override;
    std::optional<std::size_t> read_some(std::span<std::byte> buffer) override;
    void drop_write_end() noexcept override { session_.connect_no_more(); }
    void close() noexcept override;
    Awaitable<> stop() override;

  private:
    void on_connected() override;
    void on_message(Message message) override;
    void on_end(std::optional<Error> failure) noexcept override;

    void grant();

    Logger logger_;
    ReceiveWindow window_;
    std::string unread_;
    bool ended_ = false;
    bool closed_ = false;
    Event readable_; ///< unread_, ended_ or closed_
    Session session_;
};

} // namespace cppvm::io::streaming
