#include "host/storage/disk_source.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/forked_child.hpp"
#include "common/os/loop_device.hpp"
#include "host/storage/host_device.hpp"

#include <fcntl.h>
#include <sys/stat.h>

namespace cppvm::storage {

namespace {

// O_EXCL, of a block device: as if it were mounted (open(2)).
int open_flags(bool read_only, bool exclusive) {
    return (read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK | (exclusive ? O_EXCL : 0);
}

} // namespace

DiskSource::DiskSource(dev_t device, bool read_only, bool exclusive)
    : fd_(open_file(find_block_device(device), open_flags(read_only, exclusive))), device_(device) {
}

Awaitable<DiskSource>
open_disk(const asio::any_io_executor& executor, DiskSpec spec, Deadline deadline) {
    if (spec.device != 0) {
        co_return DiskSource(spec.device, spec.read_only, spec.exclusive);
    }
    ForkedChild child(executor, "set up " + spec.image.native(), {}, [&spec](ParentLink& parent) {
        const LoopDevice loop(spec.image, spec.read_only);
        parent.send(loop.path().native());
        parent.receive(); // until then it has a user here
    });
    const std::string path = co_await child.receive(deadline);
    const auto made = host_device_at(path);
    if (!made || !S_ISBLK(made->mode)) {
        throw Error(Code::internal, "set up " + spec.image.native() + ": " + path + " is gone");
    }
    DiskSource source(made->number, spec.read_only, spec.exclusive);
    child.send("opened");
    co_await child.finish(deadline);
    co_return source;
}

} // namespace cppvm::storage
