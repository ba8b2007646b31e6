#include "host/vm/libvirt/helper/operations.hpp"

#include "common/base/error.hpp"
#include "common/base/one_line.hpp"
#include "host/cgroup/sandbox_cgroup.hpp"
#include "host/vm/libvirt/helper/placement.hpp"

#include <libvirt/virterror.h>
#include <pugixml.hpp>

#include <algorithm>
#include <filesystem>
#include <ostream>
#include <sstream>
#include <unistd.h>

namespace cppvm::vm::libvirt {

namespace {

using Cgroups = std::vector<std::filesystem::path>;

pugi::xml_document parse(const char* xml, const char* what) {
    pugi::xml_document document;
    if (!document.load_string(xml)) {
        throw Error(Code::internal, std::string("parse ") + what + ": not XML");
    }
    return document;
}

std::vector<std::string> security_models(const Connection& connection) {
    const CString xml(virConnectGetCapabilities(connection.get()));
    if (!xml) {
        throw_last();
    }
    const auto capabilities = parse(xml.get(), "libvirt's capabilities");
    std::vector<std::string> models;
    for (const auto& node : capabilities.select_nodes("/capabilities/host/secmodel/model")) {
        models.emplace_back(node.node().text().as_string());
    }
    return models;
}

bool can_choose_user(const Connection& connection) {
    const auto models = security_models(connection);
    return std::ranges::find(models, "dac") != models.end();
}

// By default libvirt gives each file of a domain to QEMU's user: the guest kernel too, which all
// machines share and which a guest that took over its QEMU could then rewrite.
void set_user(pugi::xml_document& document, const Owner& owner) {
    auto security = document.child("domain").append_child("seclabel");
    security.append_attribute("type").set_value("static");
    security.append_attribute("model").set_value("dac");
    security.append_attribute("relabel").set_value("no");
    const std::string label = "+" + std::to_string(owner.user) + ":+" + std::to_string(owner.group);
    security.append_child("label").text().set(label.c_str());
}

// No link is followed: another helper owns the directory of some.
void hand_over(const std::vector<std::string>& sockets, const Owner& owner) {
    for (const auto& path : sockets) {
        if (::lchown(path.c_str(), owner.user, owner.group) != 0) {
            throw_errno("give to QEMU's user the socket", path);
        }
    }
}

std::string to_text(const pugi::xml_document& document) {
    std::ostringstream out;
    document.save(out, "", pugi::format_raw | pugi::format_no_declaration);
    return out.str();
}

void place_and_resume(
    virDomain* domain, const std::string& name, const Cgroups& cgroups, std::ostream& out
) {
    try {
        move_qemu(name, cgroups);
    } catch (const Error& error) {
        out << "warning QEMU stays in libvirt's cgroup: " << joined_lines(error.what()) << '\n';
    }
    if (virDomainResume(domain) != 0) {
        const LibvirtError failure = last_error();
        virDomainDestroy(domain);
        throw LibvirtError(failure);
    }
}

void print_cid(virDomain* domain, std::ostream& out) {
    const CString live(virDomainGetXMLDesc(domain, 0));
    if (!live) {
        throw_last();
    }
    const auto document = parse(live.get(), "libvirt's domain");
    const auto cid = document.select_node("/domain/devices/vsock/cid/@address");
    if (cid) {
        out << "cid " << cid.attribute().as_uint() << '\n';
    }
}

} // namespace

void create(
    const Connection& connection,
    const std::string& xml,
    const Owner& owner,
    const std::vector<std::string>& sockets,
    std::ostream& out
) {
    auto document = parse(xml.c_str(), "the domain");
    const std::string name = document.child("domain").child("name").text().as_string();
    if (can_choose_user(connection)) {
        if (open_library_directory()) {
            out << "warning QEMU's users may pass through /var/lib/libvirt/qemu from now on\n";
        }
        hand_over(sockets, owner);
        set_user(document, owner);
    } else {
        out << "warning QEMU runs as libvirt itself does: there is no dac security model\n";
    }
    const Cgroups cgroups = cgroup::own_cgroups(name);
    const DomainHandle domain(virDomainCreateXML(
        connection.get(),
        to_text(document).c_str(),
        cgroups.empty() ? VIR_DOMAIN_NONE : VIR_DOMAIN_START_PAUSED
    ));
    if (!domain) {
        throw_last();
    }
    if (!cgroups.empty()) {
        place_and_resume(domain.get(), name, cgroups, out);
    }
    print_cid(domain.get(), out);
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
    for (const auto& model : security_models(connection)) {
        out << "secmodel " << model << '\n';
    }
}

} // namespace cppvm::vm::libvirt
