#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/ip/address.hpp>

#include <filesystem>
#include <string_view>
#include <vector>

namespace cppvm::network {

/// The loopback addresses that a resolv.conf (resolv.conf(5)) names as name servers, the first few
/// of them. Pure.
std::vector<asio::ip::address> loopback_name_servers(std::string_view resolv_conf);

/// Those of a file of the host; none if it is no file. In a child, because it may be on a volume
/// that does not answer. Throws: Error (deadline_exceeded). Cancels: nothing is left.
Awaitable<std::vector<asio::ip::address>> read_loopback_name_servers(
    const asio::any_io_executor& executor, std::filesystem::path resolv_conf, Deadline deadline
);

} // namespace cppvm::network
