#include "host/vm/libvirt/helper/connection.hpp"

#include <libvirt/virterror.h>

#include <cstdlib>

namespace cppvm::vm::libvirt {

namespace {

// libvirt prints each error to stderr unless it is given a handler. Ours travel on stdout.
void ignore_error(void* /*data*/, virErrorPtr /*error*/) {}

} // namespace

LibvirtError last_error() {
    const virError* error = virGetLastError();
    if (error == nullptr) {
        return {VIR_ERR_INTERNAL_ERROR, VIR_FROM_NONE, "libvirt reported no reason"};
    }
    return {error->code, error->domain, error->message != nullptr ? error->message : "no message"};
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
