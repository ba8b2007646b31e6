#include "host/vm/libvirt/helper/operations.hpp"

#include "common/base/error.hpp"
#include "common/base/one_line.hpp"
#include "host/vm/libvirt/helper/placement.hpp"

#include <libvirt/virterror.h>
#include <pugixml.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <sstream>
#include <thread>
#include <unistd.h>

namespace cppvm::vm::libvirt {

namespace {

using Cgroups = std::vector<cgroup::Place>;
using cppvm::helper::v1::CreateDomain;
using cppvm::helper::v1::Response;

// Nothing tells a program without an event loop that a device is gone.
constexpr std::chrono::milliseconds detach_check_interval(20);

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
void set_user(pugi::xml_document& document, const CreateDomain& request) {
    auto security = document.child("domain").append_child("seclabel");
    security.append_attribute("type").set_value("static");
    security.append_attribute("model").set_value("dac");
    security.append_attribute("relabel").set_value("no");
    const std::string label =
        "+" + std::to_string(request.user()) + ":+" + std::to_string(request.group());
    security.append_child("label").text().set(label.c_str());
}

// No link is followed: another helper owns the directory of some.
void hand_over_sockets(const CreateDomain& request) {
    for (const auto& path : request.sockets()) {
        if (::lchown(path.c_str(), request.user(), request.group()) != 0) {
            throw_errno("give QEMU's user the socket", path);
        }
    }
}

std::string to_text(const pugi::xml_document& document) {
    std::ostringstream out;
    document.save(out, "", pugi::format_raw | pugi::format_no_declaration);
    return out.str();
}

void place_and_resume(
    virDomain* domain, const std::string& name, const Cgroups& cgroups, Response& response
) {
    try {
        move_qemu(name, cgroups);
    } catch (const Error& error) {
        response.add_warnings(
            "QEMU, or a part of it, stays in libvirt's cgroup: " + joined_lines(error.what())
        );
    }
    if (virDomainResume(domain) != 0) {
        const Error failure = last_error();
        virDomainDestroy(domain);
        throw Error(failure);
    }
}

pugi::xml_document live_document(virDomain* domain) {
    const CString live(virDomainGetXMLDesc(domain, 0));
    if (!live) {
        throw_last();
    }
    return parse(live.get(), "libvirt's domain");
}

DomainHandle find_domain(const Connection& connection, const std::string& uuid) {
    DomainHandle domain(virDomainLookupByUUIDString(connection.get(), uuid.c_str()));
    if (!domain) {
        throw_last();
    }
    return domain;
}

bool has_alias(virDomain* domain, const std::string& alias) {
    const auto document = live_document(domain);
    for (const auto& node : document.select_nodes("/domain/devices/*/alias/@name")) {
        if (node.attribute().as_string() == alias) {
            return true;
        }
    }
    return false;
}

// libvirt takes a device out of the document first, and only then lets QEMU close what it was made
// of (qemuDomainRemoveDiskDevice, qemuDomainRemoveNetDevice), in one job of the domain. A question
// that is a job, too, is answered after it.
void wait_for_job_of_removal(virDomain* domain) {
    std::array<virDomainMemoryStatStruct, VIR_DOMAIN_MEMORY_STAT_NR> stats{};
    if (virDomainMemoryStats(domain, stats.data(), stats.size(), 0) < 0) {
        throw_last();
    }
}

} // namespace

void create(const Connection& connection, const CreateDomain& request, Response& response) {
    auto document = parse(request.xml().c_str(), "the domain");
    const std::string name = document.child("domain").child("name").text().as_string();
    if (can_choose_user(connection)) {
        if (request.user() == 0 || request.group() == 0) {
            throw Error(Code::invalid_argument, "create " + name + ": QEMU must not run as root");
        }
        if (open_library_directory()) {
            response.add_warnings("QEMU's users may pass through /var/lib/libvirt/qemu from now on"
            );
        }
        hand_over_sockets(request);
        set_user(document, request);
    } else {
        response.add_warnings("QEMU runs as libvirt itself does: there is no dac security model");
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
        place_and_resume(domain.get(), name, cgroups, response);
    }
    const auto live = live_document(domain.get());
    response.set_cid(live.select_node("/domain/devices/vsock/cid/@address").attribute().as_uint());
}

void destroy(const Connection& connection, const std::string& uuid, Response& response) {
    const DomainHandle domain(virDomainLookupByUUIDString(connection.get(), uuid.c_str()));
    if (!domain) {
        if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN) {
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
    response.set_found(true);
}

void attach(const Connection& connection, const std::string& uuid, const std::string& xml) {
    const auto domain = find_domain(connection, uuid);
    if (virDomainAttachDeviceFlags(domain.get(), xml.c_str(), VIR_DOMAIN_AFFECT_LIVE) != 0) {
        throw_last();
    }
}

void detach(const Connection& connection, const std::string& uuid, const std::string& xml) {
    const auto device = parse(xml.c_str(), "the device");
    const std::string alias = device.first_child().child("alias").attribute("name").as_string();
    if (alias.empty()) {
        throw Error(Code::invalid_argument, "detach a device: it has no alias");
    }
    const auto domain = find_domain(connection, uuid);
    if (virDomainDetachDeviceAlias(domain.get(), alias.c_str(), VIR_DOMAIN_AFFECT_LIVE) != 0) {
        throw_last();
    }
    while (has_alias(domain.get(), alias)) {
        std::this_thread::sleep_for(detach_check_interval);
    }
    wait_for_job_of_removal(domain.get());
}

void ping(const Connection& connection, Response& response) {
    unsigned long library = 0;
    if (virConnectGetLibVersion(connection.get(), &library) != 0) {
        throw_last();
    }
    response.set_version(library);
    for (const auto& model : security_models(connection)) {
        response.add_security_models(model);
    }
}

} // namespace cppvm::vm::libvirt
