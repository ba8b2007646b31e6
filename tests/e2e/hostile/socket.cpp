#include "tests/e2e/hostile/socket.hpp"

#include "common/wire/ports.hpp"

#include <boost/endian/conversion.hpp>

#include <cerrno>
#include <sys/socket.h>
// After sys/socket.h, which it relies on.
#include <linux/vm_sockets.h>
#include <unistd.h>

namespace cppvm::hostile {

bool read_all(int socket, void* data, std::size_t size) {
    auto* to = static_cast<char*>(data);
    while (size > 0) {
        const ssize_t count = ::recv(socket, to, size, 0);
        if (count <= 0) {
            return false;
        }
        to += count;
        size -= static_cast<std::size_t>(count);
    }
    return true;
}

bool write_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count <= 0) {
            return false;
        }
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

std::string big_endian(std::uint32_t value) {
    boost::endian::native_to_big_inplace(value);
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

UniqueFd dial_host(std::uint32_t port) {
    UniqueFd socket(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_vm address{};
    address.svm_family = AF_VSOCK;
    address.svm_cid = wire::host_cid;
    address.svm_port = port;
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        socket.reset();
    }
    return socket;
}

void sleep_forever() {
    for (;;) {
        ::pause();
    }
}

void sleep_ms(unsigned milliseconds) {
    ::usleep(milliseconds * 1000);
}

} // namespace cppvm::hostile
