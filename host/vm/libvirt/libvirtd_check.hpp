#pragma once

#include "host/check/check.hpp"
#include "host/config/config.hpp"
#include "host/vm/libvirt/libvirt_client.hpp"

namespace cppvm::vm {

struct LibvirtdCheck {
    check::Check check;
    LibvirtHost host; ///< nothing where it does not answer
};

/// Whether libvirt answers, by the helper. Cancels: the question.
Awaitable<LibvirtdCheck> check_libvirtd(config::Config config, Deadline deadline);

} // namespace cppvm::vm
