#include "host/io/streaming/stream_output.hpp"

#include "common/base/error.hpp"

#include <utility>

namespace cppvm::io::streaming {

Awaitable<std::shared_ptr<StreamOutput>> StreamOutput::open(
    Logger logger, Address address, std::string containerd_namespace, Session::Limits limits
) {
    const auto executor = co_await asio::this_coro::executor;
    auto output = std::make_shared<StreamOutput>(
        executor, logger, std::move(address), std::move(containerd_namespace), limits
    );
    co_await output->session_.open();
    co_return output;
}

StreamOutput::StreamOutput(
    const asio::any_io_executor& executor,
    const Logger& logger,
    Address address,
    std::string containerd_namespace,
    Session::Limits limits
)
    : logger_(logger), changed_(executor), turn_(executor),
      session_(
          executor, logger, std::move(address), std::move(containerd_namespace), *this, limits
      ) {}

void StreamOutput::on_connected() {
    window_ = {};
}

void StreamOutput::on_message(Message message) {
    if (const auto* const update = std::get_if<WindowUpdate>(&message)) {
        window_.grant(update->bytes);
        changed_.set();
        return;
    }
    logger_.debug("Reader of a stdio stream sent what it need not", {{"stream", address().text()}});
}

void StreamOutput::on_end(std::optional<Error> failure) noexcept {
    if (failure) {
        logger_.warn("Stdio stream lost", {{"error", failure->message()}});
    }
    over_ = failure ? std::move(failure)
                    : Error(Code::unavailable, address().text() + ": its reader has ended it");
    changed_.set();
}

Awaitable<> StreamOutput::write(std::span<const std::byte> data) {
    const Turn::Held turn = co_await turn_.take();
    co_await write_all(data);
}

bool StreamOutput::may_send() const noexcept {
    return session_.is_connected() && window_.fit(1) > 0;
}

Awaitable<> StreamOutput::write_all(std::span<const std::byte> data) {
    while (!data.empty()) {
        while (!over_ && !may_send()) {
            changed_.clear();
            co_await changed_.wait();
        }
        if (over_) {
            throw Error(*over_);
        }
        const std::size_t size = window_.fit(data.size());
        window_.sent(size);
        if (co_await session_.send(encode_data(data.first(size)))) {
            data = data.subspan(size);
        }
    }
}

void StreamOutput::end_source() {
    if (--sources_ == 0) {
        session_.finish();
    }
}

Awaitable<> StreamOutput::wait_end() {
    while (sources_ == 0 && !over_) {
        changed_.clear();
        co_await changed_.wait();
    }
}

} // namespace cppvm::io::streaming
