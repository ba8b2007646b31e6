#include "common/os/unix_address.hpp"

#include "common/base/error.hpp"

#include <string>
#include <sys/socket.h>

namespace cppvm {

sockaddr_un unix_address(const std::filesystem::path& path, std::string_view remedy) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    constexpr std::size_t limit = sizeof address.sun_path - 1;
    if (path.native().size() > limit) {
        throw Error(
            Code::invalid_argument,
            "socket " + path.native() + ": the path is longer than " + std::to_string(limit) +
                " bytes; " + std::string(remedy)
        );
    }
    path.native().copy(static_cast<char*>(address.sun_path), limit);
    return address;
}

} // namespace cppvm
