#pragma once

#include "host/storage/host_socket.hpp"

#include <filesystem>
#include <vector>

namespace cppvm::sockets {

/// The unix sockets that containers may connect to of what is bind-mounted from `source`: the
/// socket that it is, or those directly in the directory that it is. Empty unless `source` is one
/// of `opened` or below one ([sockets] host_to_guest), and so is what it turns out to be: a link
/// does not lead to other sockets. Nothing else is looked at: a stat could wait for a server that
/// does not answer.
std::vector<storage::HostSocket>
find_offered(const std::vector<std::filesystem::path>& opened, const std::filesystem::path& source);

} // namespace cppvm::sockets
