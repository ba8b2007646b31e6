#include "guest-agent/setup/shared_namespaces.hpp"

#include "common/base/error.hpp"
#include "common/oci/refuse.hpp"
#include "common/os/file.hpp"
#include "common/wire/ports.hpp"

#include <fcntl.h>
#include <sched.h>

namespace cppvm::guest {

namespace {

constexpr std::uint64_t sharable = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

void enter_of(int pidfd, const oci::NamespaceWord& type) {
    if (::setns(pidfd, static_cast<int>(type.flag)) != 0) {
        throw_errno("enter", std::string(type.name) + " namespace of a container's init");
    }
}

} // namespace

std::vector<SharedNamespace> shared_namespaces(const oci::Linux& spec) {
    std::vector<SharedNamespace> shared;
    for (std::size_t i = 0; i < spec.namespaces.size(); ++i) {
        const oci::Namespace& item = spec.namespaces[i];
        const bool of_the_pod = item.path == wire::pod_namespace;
        if (!of_the_pod && !item.path.starts_with(wire::container_prefix)) {
            continue;
        }
        const oci::NamespaceWord* const type = oci::find_namespace_word(item.type);
        std::string field = "linux.namespaces[" + std::to_string(i) + "].path";
        if (type == nullptr || (type->flag & sharable) == 0) {
            oci::refuse(
                field,
                "containers cannot share a namespace of type '" + item.type.substr(0, 64) + "'"
            );
        }
        if (of_the_pod && type->flag != CLONE_NEWPID) {
            oci::refuse(field, "the pod's own is the machine's: leave the entry out");
        }
        const std::size_t prefix = of_the_pod ? item.path.size() : wire::container_prefix.size();
        shared.push_back({type, item.path.substr(prefix), std::move(field)});
    }
    return shared;
}

std::uint64_t flags_of(const std::vector<JoinedNamespace>& joined) noexcept {
    std::uint64_t flags = 0;
    for (const JoinedNamespace& one : joined) {
        flags |= one.type->flag;
    }
    return flags;
}

NamespaceScope::~NamespaceScope() {
    for (const UniqueFd& own : own_) {
        // Cannot fail: they are the agent's own.
        static_cast<void>(::setns(own.get(), 0));
    }
}

void NamespaceScope::enter(const std::vector<JoinedNamespace>& joined) {
    for (const JoinedNamespace& one : joined) {
        if (one.type->flag != CLONE_NEWCGROUP) {
            enter(*one.type, one.pidfd.get());
        }
    }
}

void NamespaceScope::enter(const oci::NamespaceWord& type, int pidfd) {
    // What a process's own namespaces are called there (namespaces(7)): of these types, their name.
    own_.push_back(open_file("/proc/self/ns/" + std::string(type.name), O_RDONLY));
    enter_of(pidfd, type);
}

void enter_cgroup_namespace(const std::vector<JoinedNamespace>& joined) {
    for (const JoinedNamespace& one : joined) {
        if (one.type->flag == CLONE_NEWCGROUP) {
            enter_of(one.pidfd.get(), *one.type);
        }
    }
}

} // namespace cppvm::guest
