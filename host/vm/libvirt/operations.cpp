#include "host/vm/libvirt/operations.hpp"

#include "common/base/error.hpp"

#include <libvirt/virterror.h>
#include <pugixml.hpp>

#include <charconv>
#include <optional>
#include <ostream>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace cppvm::vm::libvirt {

namespace {

pugi::xml_document parse(const char* xml, const char* what) {
    pugi::xml_document document;
    if (!document.load_string(xml)) {
        throw Error(Code::internal, std::string("parse ") + what + " from libvirt: not XML");
    }
    return document;
}

// "+64055:+107", the form of the dac base label (https://libvirt.org/formatcaps.html).
std::optional<std::pair<uid_t, gid_t>> parse_owner(std::string_view label) {
    uid_t user = 0;
    gid_t group = 0;
    const std::size_t colon = label.find(":+");
    if (label.empty() || label[0] != '+' || colon == std::string_view::npos) {
        return std::nullopt;
    }
    const char* const end = label.data() + label.size();
    if (std::from_chars(label.data() + 1, label.data() + colon, user).ptr != label.data() + colon ||
        std::from_chars(label.data() + colon + 2, end, group).ptr != end) {
        return std::nullopt;
    }
    return std::pair{user, group};
}

void give_to_qemu(const Connection& connection, const std::vector<std::string>& sockets) {
    if (sockets.empty()) {
        return;
    }
    const CString xml(virConnectGetCapabilities(connection.get()));
    if (!xml) {
        throw_last();
    }
    const auto capabilities = parse(xml.get(), "capabilities");
    // No dac model: QEMU runs as root and needs nothing.
    const auto model = capabilities.select_node("/capabilities/host/secmodel[model='dac']");
    if (!model) {
        return;
    }
    const auto owner = parse_owner(model.node().child("baselabel").text().as_string());
    if (!owner) {
        throw Error(Code::internal, "read libvirt's capabilities: no user in the dac base label");
    }
    for (const auto& path : sockets) {
        if (::chown(path.c_str(), owner->first, owner->second) != 0) {
            throw_errno("give to QEMU's user the socket", path);
        }
    }
}

} // namespace

void create(
    const Connection& connection,
    const std::string& xml,
    const std::vector<std::string>& sockets,
    std::ostream& out
) {
    give_to_qemu(connection, sockets);
    const DomainHandle domain(virDomainCreateXML(connection.get(), xml.c_str(), VIR_DOMAIN_NONE));
    if (!domain) {
        throw_last();
    }
    const CString live(virDomainGetXMLDesc(domain.get(), 0));
    if (!live) {
        throw_last();
    }
    const auto document = parse(live.get(), "the domain");
    const auto cid = document.select_node("/domain/devices/vsock/cid/@address");
    if (cid) {
        out << "cid " << cid.attribute().as_uint() << '\n';
    }
}

void destroy(const Connection& connection, const std::string& uuid, std::ostream& out) {
    const DomainHandle domain(virDomainLookupByUUIDString(connection.get(), uuid.c_str()));
    if (!domain) {
        if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN) {
            out << "found no\n";
            return;
        }
        throw_last();
    }
    if (virDomainDestroy(domain.get()) != 0) {
        // It ended by itself between the two calls.
        const int code = virGetLastErrorCode();
        if (code != VIR_ERR_NO_DOMAIN && code != VIR_ERR_OPERATION_INVALID) {
            throw_last();
        }
    }
    out << "found yes\n";
}

void ping(const Connection& connection, std::ostream& out) {
    unsigned long library = 0;
    unsigned long hypervisor = 0;
    if (virConnectGetLibVersion(connection.get(), &library) != 0) {
        throw_last();
    }
    // 0 where the driver cannot tell.
    if (virConnectGetVersion(connection.get(), &hypervisor) != 0) {
        throw_last();
    }
    out << "version " << library << "\nhypervisor " << hypervisor << '\n';
}

} // namespace cppvm::vm::libvirt
