#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace cppvm::io::streaming {

struct Data {
    std::string bytes;
};

struct WindowUpdate {
    std::int32_t bytes = 0;
};

/// A message of a type that is not for a stream of bytes.
struct OtherMessage {
    std::string type;
};

using Message = std::variant<Data, WindowUpdate, OtherMessage>;

/// The serialised google.protobuf.Any of each. Types are named without a host, as containerd does
/// (typeurl in its sources).
std::string encode_init(const std::string& id);
std::string encode_data(std::span<const std::byte> bytes);
std::string encode_window_update(std::int32_t bytes);

/// Throws: Error (invalid_argument) if it is no Any, or not what its type says.
Message decode_message(const std::string& serialised);

} // namespace cppvm::io::streaming
