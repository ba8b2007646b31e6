#pragma once

#include <string>

namespace cppvm::check {

enum class State {
    ok,
    warning, ///< works, but worse than it could
    missing, ///< no machine can be started
};

/// One requirement of the host.
struct Check {
    std::string name; ///< "KVM"
    State state = State::ok;
    std::string detail; ///< what was found: "/dev/kvm cannot be opened: permission denied"
    std::string remedy; ///< what to do about it, as a command where there is one; empty if ok
};

Check ok(std::string name, std::string detail);
Check warning(std::string name, std::string detail, std::string remedy);
Check missing(std::string name, std::string detail, std::string remedy);

/// "<name>: <detail>; <remedy>".
std::string to_text(const Check& check);

/// Throws: Error (failed_precondition) with the check's text if it says missing.
void require(const Check& check);

} // namespace cppvm::check
