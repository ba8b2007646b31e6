#pragma once

#include <string>
#include <string_view>

namespace cppvm::vm {

/// What QEMU said, of the log that libvirt keeps of a domain: the file has libvirt's own lines and
/// QEMU's command line besides. The last lines, as one; at most 600 bytes. Empty if it said
/// nothing.
std::string messages_of_qemu(std::string_view log);

/// The same of the domain `name`; empty also where its log cannot be read.
std::string read_messages_of_qemu(const std::string& name) noexcept;

/// libvirt never removes a domain's log. Call it when libvirt is done with the domain, for its end
/// is written there too.
void remove_libvirt_log(const std::string& name) noexcept;

} // namespace cppvm::vm
