#pragma once

#include "common/base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cppvm::hostile {

/// Blocking transfers of all the bytes; false once the host has closed the connection.
bool read_all(int socket, void* data, std::size_t size);
bool write_all(int socket, std::string_view bytes);

/// `value` as 4 bytes, big endian.
std::string big_endian(std::uint32_t value);

/// Connects to a vsock port of the host; an empty descriptor where nobody listens.
UniqueFd dial_host(std::uint32_t port);

/// Never returns.
[[noreturn]] void sleep_forever();
void sleep_ms(unsigned milliseconds);

} // namespace cppvm::hostile
