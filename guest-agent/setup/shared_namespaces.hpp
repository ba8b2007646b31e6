#pragma once

#include "common/base/unique_fd.hpp"
#include "common/oci/names.hpp"
#include "common/oci/spec.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace cppvm::guest {

/// A namespace of another container of this machine, or of the pod, which one wants instead of its
/// own.
struct SharedNamespace {
    const oci::NamespaceWord* type = nullptr;
    std::string container_id; ///< empty: the pod's
    std::string field;        ///< JSON path
};

/// Those of the spec: their paths name a container or the pod (common/wire/ports.hpp).
/// Throws: Error (invalid_argument) for a type of namespaces that containers cannot share, or
/// the pod has not.
std::vector<SharedNamespace> shared_namespaces(const oci::Linux& spec);

/// The same, found.
struct JoinedNamespace {
    const oci::NamespaceWord* type = nullptr;
    UniqueFd pidfd; ///< of the first process there
};

/// The CLONE_NEW* flags of their types.
std::uint64_t flags_of(const std::vector<JoinedNamespace>& joined) noexcept;

/// While it lives a clone happens in namespaces of others: all of those that are joined but the
/// cgroup namespace, in which the agent could not clone into a cgroup outside of it
/// (clone3(2), CLONE_INTO_CGROUP); the child enters that one itself.
class NamespaceScope {
  public:
    NamespaceScope() = default;
    NamespaceScope(const NamespaceScope&) = delete;
    NamespaceScope& operator=(const NamespaceScope&) = delete;
    ~NamespaceScope();

    /// Throws: Error.
    void enter(const std::vector<JoinedNamespace>& joined);
    /// One, of the process of a pidfd.
    void enter(const oci::NamespaceWord& type, int pidfd);

  private:
    std::vector<UniqueFd> own_;
};

/// In the child of such a clone. Throws: Error.
void enter_cgroup_namespace(const std::vector<JoinedNamespace>& joined);

} // namespace cppvm::guest
