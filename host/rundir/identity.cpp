#include "host/rundir/identity.hpp"

#include "common/base/error.hpp"

#include <array>
#include <cstdint>
#include <nettle/sha2.h>

namespace cppvm {

namespace {

constexpr std::size_t max_address_bytes = 4096; // PATH_MAX

bool is_alphanumeric(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_separator(char c) noexcept {
    return c == '.' || c == '_' || c == '-';
}

bool is_identifier(std::string_view value) noexcept {
    bool after_alphanumeric = false;
    for (const char c : value) {
        if (is_alphanumeric(c)) {
            after_alphanumeric = true;
        } else if (is_separator(c) && after_alphanumeric) {
            after_alphanumeric = false;
        } else {
            return false;
        }
    }
    return after_alphanumeric;
}

// For error texts: the value may be anything, of any length.
std::string shown(std::string_view value) {
    constexpr std::size_t max_shown = 80;
    std::string text;
    for (const char c : value.substr(0, max_shown)) {
        text.push_back(c >= ' ' && c <= '~' ? c : '?');
    }
    return value.size() > max_shown ? text + "…" : text;
}

std::string sha256_hex(std::string_view text) {
    sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, text.size(), reinterpret_cast<const std::uint8_t*>(text.data()));
    std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
    sha256_digest(&context, digest.size(), digest.data());
    constexpr std::string_view digits = "0123456789abcdef";
    std::string hex;
    for (const std::uint8_t byte : digest) {
        hex.push_back(digits[byte >> 4U]);
        hex.push_back(digits[byte & 0xfU]);
    }
    return hex;
}

} // namespace

void check_identifier(std::string_view what, std::string_view value) {
    const std::string name(what);
    if (value.empty()) {
        throw Error(Code::invalid_argument, name + ": must not be empty");
    }
    if (value.size() > max_identifier_bytes) {
        throw Error(
            Code::invalid_argument,
            name + " \"" + shown(value) + "\": has " + std::to_string(value.size()) +
                " characters, at most " + std::to_string(max_identifier_bytes) + " are allowed"
        );
    }
    if (!is_identifier(value)) {
        throw Error(
            Code::invalid_argument,
            name + " \"" + shown(value) +
                "\": must be letters and digits, joined by single '.', '_' or '-'"
        );
    }
}

Identity::Identity(
    std::string grpc_address, std::string containerd_namespace, std::string sandbox_id
)
    : grpc_address_(std::move(grpc_address)), namespace_(std::move(containerd_namespace)),
      sandbox_id_(std::move(sandbox_id)) {
    check_identifier("namespace", namespace_);
    check_identifier("id", sandbox_id_);
    if (grpc_address_.empty() || grpc_address_.size() > max_address_bytes ||
        grpc_address_.find('\0') != std::string::npos) {
        throw Error(
            Code::invalid_argument,
            "containerd address \"" + shown(grpc_address_) + "\": must be a path of 1 to " +
                std::to_string(max_address_bytes) + " bytes"
        );
    }
    hash_ = sha256_hex(grpc_address_ + "/" + namespace_ + "/" + sandbox_id_);
}

std::filesystem::path Identity::socket_path(const std::filesystem::path& socket_dir) const {
    return socket_dir / hash_;
}

std::filesystem::path Identity::run_dir(const std::filesystem::path& base) const {
    return base / short_id();
}

std::string Identity::uuid() const {
    std::string digits = hash_.substr(0, 32);
    digits[12] = '8'; // version: custom
    // The two top bits of octet 8 are the variant, "10".
    constexpr std::string_view hex = "0123456789abcdef";
    digits[16] = hex[8U | (hex.find(digits[16]) & 3U)];
    for (const std::size_t dash : {8U, 13U, 18U, 23U}) {
        digits.insert(dash, 1, '-');
    }
    return digits;
}

} // namespace cppvm
