#include "host/agent/guest_status.hpp"

#include "common/base/one_line.hpp"

#include <utility>

namespace cppvm::agent {

namespace {

constexpr std::size_t max_message_bytes = 2048;

Code code_from_guest(Code code) noexcept {
    switch (code) {
    case Code::cancelled:         // an operation of ours was cancelled
    case Code::deadline_exceeded: // a deadline of ours has passed
    case Code::unavailable:       // the connection is gone
        return Code::unknown;
    case Code::not_found:      // containerd takes it for "already gone" and drops its record
    case Code::already_exists: // of what the host would know itself
        return Code::failed_precondition;
    default:
        return code;
    }
}

} // namespace

Status from_guest(Status status) {
    return {code_from_guest(status.code), one_line(std::move(status.message), max_message_bytes)};
}

} // namespace cppvm::agent
