#pragma once

#include "common/async/event.hpp"
#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/ttrpc/service.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

namespace cppvm::ttrpc::testing {

/// A service with a method for each way in which a handler can behave.
class EchoService : public Service {
  public:
    explicit EchoService(const asio::any_io_executor& executor)
        : released(executor), blocked(executor), unblocked(executor) {}

    std::string_view name() const override { return "test.v1.Echo"; }

    Awaitable<std::string>
    dispatch(CallContext& context, std::string_view method, std::string_view payload) override {
        ++calls;
        last_metadata = context.metadata;
        last_deadline = context.deadline;
        if (method == "Echo") {
            return echo(payload);
        }
        if (method == "Block") {
            return block();
        }
        if (method == "Grow") {
            return grow(payload);
        }
        if (method == "FailNotFound") {
            throw Error(Code::not_found, "task a: not found");
        }
        if (method == "FailBadText") {
            throw Error(Code::internal, "bytes \xff\xc3 and \xe2\x82\xac");
        }
        if (method == "FailUnknown") {
            throw std::runtime_error("nobody foresaw this");
        }
        if (method == "Tell") {
            context.after_reply = [this] { told = true; };
            return echo(payload);
        }
        throw_unknown_method(method);
    }

    Awaitable<> stream(CallContext& context, std::string_view method, Stream& stream) override {
        if (method == "Repeat") {
            return repeat(stream);
        }
        if (method == "Count") {
            return count(stream);
        }
        if (method == "BlockStream") {
            return block_stream(stream);
        }
        return Service::stream(context, method, stream);
    }

    bool is_streaming(std::string_view method) const override { return method == "Count"; }

    int calls = 0;
    int blocking = 0;  ///< Block handlers that run now
    int cancelled = 0; ///< Block handlers that ended by cancellation
    bool told = false;
    Metadata last_metadata;
    Deadline last_deadline = no_deadline;
    Event released;  ///< lets Block return
    Event blocked;   ///< a Block handler waits
    Event unblocked; ///< a Block handler was cancelled

  private:
    Awaitable<std::string> echo(std::string_view payload) { co_return std::string(payload); }

    Awaitable<std::string> block() {
        ++blocking;
        blocked.set();
        ScopeExit was_cancelled([this] {
            --blocking;
            ++cancelled;
            unblocked.set();
        });
        co_await released.wait();
        was_cancelled.release();
        --blocking;
        co_return "released";
    }

    /// A reply of as many bytes as the payload says.
    Awaitable<std::string> grow(std::string_view payload) {
        co_return std::string(std::stoul(std::string(payload)), 'g');
    }

    /// Sends every message back; "fail" ends the stream with an error.
    Awaitable<> repeat(Stream& stream) {
        for (;;) {
            const auto message = co_await stream.receive();
            if (!message) {
                co_return;
            }
            if (*message == "fail") {
                throw Error(Code::aborted, "asked to fail");
            }
            co_await stream.send(*message);
        }
    }

    /// Sends "0" up to the number in the request.
    Awaitable<> count(Stream& stream) {
        const auto request = co_await stream.receive();
        const int end = std::stoi(request.value_or("0"));
        for (int number = 0; number < end; ++number) {
            co_await stream.send(std::to_string(number));
        }
    }

    Awaitable<> block_stream(Stream& stream) {
        co_await stream.send("ready");
        co_await block();
    }
};

} // namespace cppvm::ttrpc::testing
