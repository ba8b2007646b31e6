#include "host/io/streaming/message.hpp"

#include "common/base/error.hpp"
#include "common/base/one_line.hpp"
#include "common/base/type_of_url.hpp"
#include "proto/containerd/streaming.pb.h"
#include "proto/containerd/transfer.pb.h"

#include <google/protobuf/any.pb.h>

namespace cppvm::io::streaming {

namespace {

namespace transfer = ::containerd::types::transfer;

constexpr std::size_t max_shown = 128;

std::string pack(const google::protobuf::MessageLite& message) {
    google::protobuf::Any any;
    any.set_type_url(message.GetTypeName());
    any.set_value(message.SerializeAsString());
    return any.SerializeAsString();
}

template <class T>
T parse(const std::string& bytes) {
    T message;
    if (!message.ParseFromString(bytes)) {
        throw Error(Code::invalid_argument, "malformed message " + T().GetTypeName());
    }
    return message;
}

} // namespace

std::string encode_init(const std::string& id) {
    ::containerd::services::streaming::v1::StreamInit init;
    init.set_id(id);
    return pack(init);
}

std::string encode_data(std::span<const std::byte> bytes) {
    transfer::Data data;
    data.set_data(bytes.data(), bytes.size());
    return pack(data);
}

std::string encode_window_update(std::int32_t bytes) {
    transfer::WindowUpdate update;
    update.set_update(bytes);
    return pack(update);
}

Message decode_message(const std::string& serialised) {
    auto any = parse<google::protobuf::Any>(serialised);
    const std::string type(type_of_url(any.type_url()));
    if (type == transfer::Data().GetTypeName()) {
        auto data = parse<transfer::Data>(any.value());
        return Data{std::move(*data.mutable_data())};
    }
    if (type == transfer::WindowUpdate().GetTypeName()) {
        return WindowUpdate{parse<transfer::WindowUpdate>(any.value()).update()};
    }
    return OtherMessage{one_line(type, max_shown)};
}

} // namespace cppvm::io::streaming
