#pragma once

#include "common/base/unique_fd.hpp"
#include "common/network/netlink.hpp"

#include <string>

namespace cppvm::network::testing {

/// A network namespace of the test's own, which goes with it.
class TestNamespace {
  public:
    TestNamespace();

    int descriptor() const noexcept { return fd_.get(); }
    nl_sock& socket() { return *socket_; }

    /// A bridge without ports: an Ethernet interface that needs nobody at its other end.
    void add_bridge(const std::string& name, const MacAddress& mac);

    /// A cable to an interface of another namespace, both ends up.
    void add_veth(const std::string& name, TestNamespace& other, const std::string& other_name);

    void set_up(const std::string& name);
    void set_mac(const std::string& name, const MacAddress& mac);
    void rename(const std::string& name, const std::string& to);
    void remove(const std::string& name);
    int index_of(const std::string& name);
    /// The indices of interfaces with an ingress qdisc.
    std::vector<int> ingress_qdiscs();

    /// A socket that takes and gives whole frames of an interface.
    UniqueFd open_packet_socket(const std::string& name);

  private:
    UniqueFd fd_;
    Socket socket_;
};

/// A tap in this process's own namespace, of the kind that QEMU has.
UniqueFd open_tap(const std::string& name);

} // namespace cppvm::network::testing
