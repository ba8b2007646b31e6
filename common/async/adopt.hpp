#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <utility>

namespace cppvm {

/// Hands a descriptor to an object of asio, which owns it from now on; `arguments` are what that
/// object's `assign` wants before it: the protocol of a socket.
/// Throws: boost::system::system_error; then the descriptor is closed.
template <class Object, class... Arguments>
void adopt(Object& object, UniqueFd fd, const Arguments&... arguments) {
    object.assign(arguments..., fd.get());
    static_cast<void>(fd.release());
}

/// The same for an object that is made for it. Its reads and writes wait only in coroutines if the
/// descriptor is non-blocking.
inline asio::posix::stream_descriptor
to_descriptor(const asio::any_io_executor& executor, UniqueFd fd) {
    asio::posix::stream_descriptor descriptor(executor);
    adopt(descriptor, std::move(fd));
    return descriptor;
}

} // namespace cppvm
