#pragma once

#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/base/error.hpp"
#include "common/ttrpc/server.hpp"
#include "host/io/streaming/message.hpp"
#include "proto/containerd/streaming.pb.h"

#include <boost/asio/local/stream_protocol.hpp>
#include <google/protobuf/any.pb.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace cppvm::testing {

/// The server's end of one stream, for as long as its connection lasts.
class StreamingPeer {
  public:
    StreamingPeer(std::string id, std::string space, ttrpc::Stream& stream, Event& done)
        : id(std::move(id)), containerd_namespace(std::move(space)), stream_(stream), done_(done) {}

    Awaitable<> grant(std::int32_t bytes) {
        co_await stream_.send(io::streaming::encode_window_update(bytes));
    }

    Awaitable<> send(std::string bytes) {
        co_await stream_.send(io::streaming::encode_data(std::as_bytes(std::span(bytes))));
    }

    /// The next message; OtherMessage with the type "end" after the last.
    Awaitable<io::streaming::Message> receive() {
        const auto message = co_await stream_.receive();
        if (!message) {
            co_return io::streaming::OtherMessage{"end"};
        }
        co_return io::streaming::decode_message(*message);
    }

    /// The bytes of the next message, which must be data; empty at the end.
    Awaitable<std::string> receive_data() {
        auto message = co_await receive();
        if (auto* const data = std::get_if<io::streaming::Data>(&message)) {
            largest = std::max(largest, data->bytes.size());
            co_return std::move(data->bytes);
        }
        EXPECT_TRUE(std::holds_alternative<io::streaming::OtherMessage>(message));
        co_return "";
    }

    /// What the next message grants.
    Awaitable<std::int32_t> receive_grant() {
        const auto message = co_await receive();
        const auto* const update = std::get_if<io::streaming::WindowUpdate>(&message);
        EXPECT_NE(update, nullptr);
        co_return update == nullptr ? 0 : update->bytes;
    }

    /// To the end, with windows as Go's reader grants them (core/transfer/streaming in containerd's
    /// sources): a whole one whenever less than that is left.
    Awaitable<std::string> receive_all() {
        constexpr std::int32_t window = 64 * 1024;
        std::string received;
        for (std::int32_t left = 0;;) {
            if (left < window) {
                co_await grant(window);
                left += window;
            }
            const std::string data = co_await receive_data();
            if (data.empty()) {
                co_return received;
            }
            left -= static_cast<std::int32_t>(data.size());
            received += data;
        }
    }

    /// Ends the stream as a server does.
    void end() { done_.set(); }

    std::string id;
    std::string containerd_namespace;
    std::size_t largest = 0; ///< message of data that came

  private:
    ttrpc::Stream& stream_;
    Event& done_;
};

/// A streaming server at a unix socket. `stop` must be awaited.
class FakeStreamingServer : public ttrpc::Service {
  public:
    FakeStreamingServer(const asio::any_io_executor& executor, std::filesystem::path path)
        : executor_(executor), path_(std::move(path)), arrived_(executor),
          tasks_(executor, Logger()) {
        listen();
    }

    std::set<std::string> known; ///< ids that are taken; empty: all
    bool silent = false;         ///< accepts streams but never acknowledges them

    std::string_view name() const override { return "containerd.services.streaming.v1.Streaming"; }

    Awaitable<std::string>
    dispatch(ttrpc::CallContext&, std::string_view method, std::string_view) override {
        ttrpc::throw_unknown_method(method);
    }

    Awaitable<>
    stream(ttrpc::CallContext& context, std::string_view method, ttrpc::Stream& stream) override {
        EXPECT_EQ(method, "Stream");
        const auto first = co_await stream.receive();
        google::protobuf::Any any;
        containerd::services::streaming::v1::StreamInit init;
        EXPECT_TRUE(first && any.ParseFromString(*first) && init.ParseFromString(any.value()));
        EXPECT_EQ(any.type_url(), "containerd.services.streaming.v1.StreamInit");
        if (!known.empty() && !known.contains(init.id())) {
            throw Error(Code::not_found, "stream " + init.id() + " is unknown here");
        }
        Event done(executor_);
        if (silent) {
            co_await done.wait();
        }
        google::protobuf::Any ready;
        ready.set_type_url("google.protobuf.Empty");
        co_await stream.send(ready.SerializeAsString());
        std::string space;
        for (const auto& [key, value] : context.metadata) {
            space = key == "containerd-namespace-ttrpc" ? value : space;
        }
        waiting_.push_back(std::make_shared<StreamingPeer>(init.id(), space, stream, done));
        arrived_.set();
        co_await done.wait();
    }

    /// The next stream that a client has begun, of any id.
    Awaitable<std::shared_ptr<StreamingPeer>> accept() {
        while (waiting_.empty()) {
            arrived_.clear();
            co_await arrived_.wait();
        }
        auto peer = std::move(waiting_.front());
        waiting_.pop_front();
        co_return peer;
    }

    /// The same, of that id.
    Awaitable<std::shared_ptr<StreamingPeer>> accept(std::string id) {
        auto peer = co_await accept();
        EXPECT_EQ(peer->id, id);
        co_return peer;
    }

    /// Breaks every connection, and is not there until `listen`.
    Awaitable<> go_away() {
        co_await server_->stop();
        server_.reset();
        std::filesystem::remove(path_);
    }

    void listen() {
        server_ = std::make_unique<ttrpc::Server>(executor_, Logger());
        server_->add(*this);
        ttrpc::Server::Acceptor acceptor(
            executor_, asio::local::stream_protocol::endpoint(path_.native())
        );
        tasks_.spawn("fake streaming server", server_->serve(std::move(acceptor)));
    }

    Awaitable<> stop() {
        if (server_) {
            co_await server_->stop();
        }
        co_await tasks_.stop();
    }

    std::string uri(const std::string& id) const {
        return "ttrpc+unix://" + path_.native() + "?streaming_id=" + id;
    }

  private:
    asio::any_io_executor executor_;
    std::filesystem::path path_;
    std::list<std::shared_ptr<StreamingPeer>> waiting_;
    Event arrived_;
    std::unique_ptr<ttrpc::Server> server_;
    TaskGroup tasks_;
};

} // namespace cppvm::testing
