#pragma once

#include "common/base/error.hpp"

#include <libvirt/libvirt.h>

#include <memory>
#include <string>

namespace cppvm::vm::libvirt {

/// What libvirt said last, as an error of ours: unavailable if libvirtd does not answer.
Error last_error();

/// Throws that.
[[noreturn]] void throw_last();

/// Frees the reference; the domain itself stays as it is.
struct DomainDeleter {
    void operator()(virDomain* domain) const noexcept { virDomainFree(domain); }
};
using DomainHandle = std::unique_ptr<virDomain, DomainDeleter>;

/// A string that libvirt allocated.
struct CStringDeleter {
    void operator()(char* text) const noexcept;
};
using CString = std::unique_ptr<char, CStringDeleter>;

/// One connection to a libvirt daemon, closed at the end.
class Connection {
  public:
    /// Throws: LibvirtError.
    explicit Connection(const std::string& uri);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { virConnectClose(connection_); }

    virConnect* get() const noexcept { return connection_; }

  private:
    virConnect* connection_;
};

} // namespace cppvm::vm::libvirt
