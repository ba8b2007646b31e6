#pragma once

#include <libvirt/libvirt.h>

#include <exception>
#include <memory>
#include <string>

namespace cppvm::vm::libvirt {

/// libvirt's last error of this thread: numbers (virErrorNumber, virErrorDomain) and text.
class LibvirtError : public std::exception {
  public:
    LibvirtError(int code, int domain, std::string text)
        : code_(code), domain_(domain), text_(std::move(text)) {}

    const char* what() const noexcept override { return text_.c_str(); }
    int code() const noexcept { return code_; }
    int domain() const noexcept { return domain_; }

  private:
    int code_;
    int domain_;
    std::string text_;
};

/// What libvirt said last.
LibvirtError last_error();

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
