#include "host/vm/libvirt/helper/connection.hpp"

#include <libvirt/virterror.h>

#include <cstdlib>

namespace cppvm::vm::libvirt {

namespace {

// libvirt prints each error to stderr unless it is given a handler. Ours travel on stdout.
void ignore_error(void* /*data*/, virErrorPtr /*error*/) {}

Code to_code(int number) noexcept {
    switch (number) {
    case VIR_ERR_NO_MEMORY:
        return Code::resource_exhausted;
    case VIR_ERR_SYSTEM_ERROR: // in practice: its socket cannot be reached
    case VIR_ERR_RPC:
        return Code::unavailable;
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_ACCESS_DENIED:
        return Code::permission_denied;
    case VIR_ERR_OPERATION_TIMEOUT:
        return Code::deadline_exceeded;
    default:
        return Code::unknown;
    }
}

} // namespace

Error last_error() {
    const virError* error = virGetLastError();
    if (error == nullptr || error->message == nullptr) {
        return {Code::internal, "libvirt reported no reason"};
    }
    return {to_code(error->code), std::string("libvirt: ") + error->message};
}

void throw_last() {
    throw last_error();
}

void CStringDeleter::operator()(char* text) const noexcept {
    std::free(text);
}

Connection::Connection(const std::string& uri) {
    virSetErrorFunc(nullptr, ignore_error);
    connection_ = virConnectOpen(uri.c_str());
    if (connection_ == nullptr) {
        throw_last();
    }
}

} // namespace cppvm::vm::libvirt
