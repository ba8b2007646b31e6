#pragma once

#include "common/async/asio.hpp"
#include "proto/cppvm/libvirt.pb.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace cppvm::vm {

/// Parses the helper's answer. `operation` names it in errors: "create domain cppvm-ab12".
/// Throws: the Error that it holds, if it is one (unavailable: libvirtd does not answer); Error
/// (internal) if it is malformed.
cppvm::helper::v1::Response parse_helper_answer(std::string_view bytes, std::string_view operation);

/// A domain to make and start.
struct DomainRequest {
    std::string name;
    std::string xml;
    uid_t user; ///< that QEMU runs as
    gid_t group;
    std::vector<std::filesystem::path> sockets; ///< handed to that user first
};

struct CreatedDomain {
    std::optional<std::uint32_t> cid;  ///< the vsock address, if libvirt chose one
    std::vector<std::string> warnings; ///< for the log: what is less isolated than it should be
};

struct LibvirtHost {
    std::string version;                      ///< "9.0.0"
    std::vector<std::string> security_models; ///< "dac", "apparmor", …
};

/// Talks to libvirt through the helper program, one short run for each call (docs/adr/0001).
///
/// Cancels: kills the helper; libvirt may still carry out what it was asked.
/// Throws: Error. A helper that does not end in time gives deadline_exceeded.
/// Thread: the loop's only.
class LibvirtClient {
  public:
    /// `helper`: absolute path of cppvm-libvirt.
    LibvirtClient(std::filesystem::path helper, std::string uri);

    /// Makes and starts a transient domain. Its QEMU goes into the cgroup that we are in if that
    /// has the domain's name. All files but the sockets keep their owners.
    Awaitable<CreatedDomain> create(DomainRequest request, Deadline deadline);

    /// Until the domain is gone. False: there was none.
    Awaitable<bool> destroy(std::string uuid, Deadline deadline);

    /// Adds a device to a domain that runs. `xml`: as in the domain's, with an alias.
    Awaitable<> attach(std::string uuid, std::string xml, Deadline deadline);

    /// Until the guest has let go of it, and QEMU has closed what it was made of.
    Awaitable<> detach(std::string uuid, std::string xml, Deadline deadline);

    /// Whether it answers, and what it is.
    Awaitable<LibvirtHost> ping(Deadline deadline);

  private:
    Awaitable<cppvm::helper::v1::Response>
    run(std::vector<std::string> arguments,
        std::string input,
        std::string operation,
        Deadline deadline);

    std::filesystem::path helper_;
    std::string uri_;
};

} // namespace cppvm::vm
