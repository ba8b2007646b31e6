// vsock-echo PORT: sends what comes on one connection to a vsock port back on the next, pair by
// pair. It stands for the least that carrying streams between host and guest can cost. One
// connection for each direction, as the product has it: vhost-device-vsock 0.3.0 stalls where one
// carries much both ways.

#include "common/base/unique_fd.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <linux/vm_sockets.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using cppvm::UniqueFd;

UniqueFd listen_at(unsigned port) {
    UniqueFd socket(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_vm address{};
    address.svm_family = AF_VSOCK;
    address.svm_cid = VMADDR_CID_ANY;
    address.svm_port = port;
    if (!socket ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(socket.get(), 1) != 0) {
        return {};
    }
    return socket;
}

bool write_all(int fd, const char* data, std::size_t size) {
    while (size > 0) {
        const ssize_t written = ::write(fd, data, size);
        if (written <= 0) {
            return false;
        }
        data += written;
        size -= static_cast<std::size_t>(written);
    }
    return true;
}

void copy(int from, int to) {
    static std::array<char, 64UL * 1024> buffer;
    for (;;) {
        const ssize_t size = ::read(from, buffer.data(), buffer.size());
        if (size <= 0 || !write_all(to, buffer.data(), static_cast<std::size_t>(size))) {
            return;
        }
    }
}

} // namespace

int main(int argc, char** argv) {
    const UniqueFd listener =
        argc == 2 ? listen_at(static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10)))
                  : UniqueFd();
    if (!listener) {
        std::fputs("vsock-echo: cannot listen\n", stderr);
        return 1;
    }
    std::puts("ready");
    std::fflush(stdout);
    for (;;) {
        const UniqueFd input(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        const UniqueFd output(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!input || !output) {
            return 1;
        }
        copy(input.get(), output.get());
    }
}
