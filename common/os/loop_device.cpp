#include "common/os/loop_device.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <cerrno>
#include <fcntl.h>
#include <linux/loop.h>
#include <string>
#include <sys/ioctl.h>

namespace cppvm {

LoopDevice::LoopDevice(const std::filesystem::path& file, bool read_only) {
    const int mode = read_only ? O_RDONLY : O_RDWR;
    const UniqueFd backing = open_file(file, mode);
    const UniqueFd control = open_file("/dev/loop-control", O_RDWR);
    loop_config config{};
    config.fd = static_cast<__u32>(backing.get());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0U);
    // The number that is free now may be taken by another before we configure it.
    constexpr int max_attempts = 32;
    for (int attempt = 0; attempt < max_attempts; ++attempt) {
        const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
        if (number < 0) {
            throw_errno("find a free loop device for", file.native());
        }
        path_ = "/dev/loop" + std::to_string(number);
        fd_ = open_file(path_, mode);
        if (::ioctl(fd_.get(), LOOP_CONFIGURE, &config) == 0) {
            return;
        }
        if (errno != EBUSY) {
            throw_errno("set up " + path_.native() + " on", file.native());
        }
    }
    throw_errno("find a free loop device for", file.native(), EBUSY);
}

} // namespace cppvm
