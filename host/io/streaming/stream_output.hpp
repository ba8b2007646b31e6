#pragma once

#include "common/async/turn.hpp"
#include "host/io/output_sink.hpp"
#include "host/io/streaming/session.hpp"
#include "host/io/streaming/window.hpp"

#include <memory>
#include <string>
#include <utility>

namespace cppvm::io::streaming {

/// A stream of a streaming server to which a process's output goes, one or both of its streams
/// (`ctr run --log-uri` names the same for both). Writers wait for as long as the reader grants no
/// window, or the server is away; what may be lost then is said at Session. Owns: the connection;
/// `stop` must have been awaited. Thread: the loop's only.
class StreamOutput : private Session::Listener {
  public:
    /// Throws: as Channel::open; nothing is left.
    static Awaitable<std::shared_ptr<StreamOutput>> open(
        Logger logger,
        Address address,
        std::string containerd_namespace,
        Session::Limits limits = {}
    );

    /// Use `open`.
    StreamOutput(
        const asio::any_io_executor& executor,
        const Logger& logger,
        Address address,
        std::string containerd_namespace,
        Session::Limits limits
    );

    const Address& address() const noexcept { return session_.address(); }

    /// There is one more that writes.
    void add_source() noexcept { ++sources_; }

    /// Sends all of `data`; callers take turns. Throws: Error, when the reader has ended the stream
    /// or it is lost for good.
    Awaitable<> write(std::span<const std::byte> data);

    /// One of them has ended. After the last the reader is told so.
    void end_source();

    /// If all have ended: until the reader has answered with its own end, or the stream is lost.
    Awaitable<> wait_end();

    Awaitable<> stop() { return session_.stop(); }

  private:
    void on_connected() override;
    void on_message(Message message) override;
    void on_end(std::optional<Error> failure) noexcept override;

    Awaitable<> write_all(std::span<const std::byte> data);
    bool may_send() const noexcept;

    Logger logger_;
    int sources_ = 0;
    SendWindow window_;
    std::optional<Error> over_; ///< why nothing more can be written
    Event changed_;
    Turn turn_; ///< one writes at a time
    Session session_;
};

/// One stream of a process into a StreamOutput.
class StreamSink : public OutputSink {
  public:
    explicit StreamSink(std::shared_ptr<StreamOutput> output) : output_(std::move(output)) {
        output_->add_source();
    }
    ~StreamSink() override { end(); }

    Awaitable<> write(std::span<const std::byte> data) override { return output_->write(data); }
    Awaitable<> finish() override {
        end();
        co_await output_->wait_end();
    }

  private:
    void end() {
        if (!std::exchange(ended_, true)) {
            output_->end_source();
        }
    }

    std::shared_ptr<StreamOutput> output_;
    bool ended_ = false;
};

} // namespace cppvm::io::streaming
