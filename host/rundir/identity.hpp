#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace cppvm {

/// Names that containerd accepts for namespaces, containers and sandboxes.
inline constexpr std::size_t max_identifier_bytes = 76;

/// Checks `value` against containerd's rule for identifiers: groups of letters and digits, joined
/// by single '.', '_' or '-', at most `max_identifier_bytes`. `what` names it: "namespace". Throws:
/// Error (invalid_argument) with the value (cut and escaped) and the rule.
void check_identifier(std::string_view what, std::string_view value);

/// Who a sandbox is, and every name on the host that follows from that. All of them can be computed
/// again by `delete` after a crash, so none has to be recorded.
class Identity {
  public:
    /// Throws: Error (invalid_argument) if the address is empty or an identifier breaks the rule.
    Identity(std::string grpc_address, std::string containerd_namespace, std::string sandbox_id);

    const std::string& grpc_address() const noexcept { return grpc_address_; }
    const std::string& containerd_namespace() const noexcept { return namespace_; }
    const std::string& sandbox_id() const noexcept { return sandbox_id_; }

    /// 64 hex digits: SHA-256 of "<grpc address>/<namespace>/<sandbox id>". containerd's tools find
    /// a shim's socket by this name (`ctr shim`).
    const std::string& hash() const noexcept { return hash_; }
    /// The first 16 digits of the hash, for paths that must be short (sockets: 107 bytes).
    std::string short_id() const { return hash_.substr(0, 16); }

    std::filesystem::path socket_path(const std::filesystem::path& socket_dir) const;
    /// `base` is config::Config::run_dir.
    std::filesystem::path run_dir(const std::filesystem::path& base) const;
    std::string domain_name() const { return "cppvm-" + short_id(); }
    /// The first 128 bits of the hash in the form of RFC 9562 section 5.8 (version 8: custom).
    std::string uuid() const;

    friend bool operator==(const Identity&, const Identity&) = default;

  private:
    std::string grpc_address_;
    std::string namespace_;
    std::string sandbox_id_;
    std::string hash_;
};

} // namespace cppvm
