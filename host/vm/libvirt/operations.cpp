#include "host/vm/libvirt/operations.hpp"

#include "common/base/error.hpp"

#include <libvirt/virterror.h>
#include <pugixml.hpp>

#include <charconv>
#include <optional>
#include <ostream>
#include <sstream>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace cppvm::vm::libvirt {

namespace {

pugi::xml_document parse(const char* xml, const char* what) {
    pugi::xml_document document;
    if (!document.load_string(xml)) {
        throw Error(Code::internal, std::string("parse ") + what + ": not XML");
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

struct QemuUser {
    uid_t user;
    gid_t group;
    std::string label;
};

// Nothing where libvirt has no dac model: QEMU then runs as root.
std::optional<QemuUser> find_qemu_user(const Connection& connection) {
    const CString xml(virConnectGetCapabilities(connection.get()));
    if (!xml) {
        throw_last();
    }
    const auto capabilities = parse(xml.get(), "libvirt's capabilities");
    const auto model = capabilities.select_node("/capabilities/host/secmodel[model='dac']");
    if (!model) {
        return std::nullopt;
    }
    const std::string label = model.node().child("baselabel").text().as_string();
    const auto owner = parse_owner(label);
    if (!owner) {
        throw Error(Code::internal, "read libvirt's capabilities: no user in the dac base label");
    }
    return QemuUser{owner->first, owner->second, label};
}

// By default libvirt gives each file of a domain to QEMU's user: the guest kernel too, which all
// machines share and which a guest that took over its QEMU could then rewrite.
std::string without_relabelling(const std::string& xml, const std::string& label) {
    auto document = parse(xml.c_str(), "the domain");
    auto security = document.child("domain").append_child("seclabel");
    security.append_attribute("type").set_value("static");
    security.append_attribute("model").set_value("dac");
    security.append_attribute("relabel").set_value("no");
    security.append_child("label").text().set(label.c_str());
    std::ostringstream out;
    document.save(out, "", pugi::format_raw | pugi::format_no_declaration);
    return out.str();
}

} // namespace

void create(
    const Connection& connection,
    const std::string& xml,
    const std::vector<std::string>& sockets,
    std::ostream& out
) {
    const auto qemu = find_qemu_user(connection);
    for (const auto& path : sockets) {
        if (qemu && ::chown(path.c_str(), qemu->user, qemu->group) != 0) {
            throw_errno("give to QEMU's user the socket", path);
        }
    }
    const std::string definition = qemu ? without_relabelling(xml, qemu->label) : xml;
    const DomainHandle domain(
        virDomainCreateXML(connection.get(), definition.c_str(), VIR_DOMAIN_NONE)
    );
    if (!domain) {
        throw_last();
    }
    const CString live(virDomainGetXMLDesc(domain.get(), 0));
    if (!live) {
        throw_last();
    }
    const auto document = parse(live.get(), "libvirt's domain");
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
