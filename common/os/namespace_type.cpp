#include "common/os/namespace_type.hpp"

#include "common/os/file.hpp"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>

namespace cppvm {

int namespace_type(int fd) noexcept {
    const int type = ::ioctl(fd, NS_GET_NSTYPE);
    return type > 0 ? type : 0;
}

int namespace_type_at(const std::filesystem::path& path) {
    // Not blocking: it may be a fifo.
    return namespace_type(open_file(path, O_RDONLY | O_NONBLOCK).get());
}

} // namespace cppvm
