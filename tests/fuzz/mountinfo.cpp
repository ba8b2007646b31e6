// The parser of /proc/<pid>/mountinfo, and the choice of what is below a path.

#include "host/storage/mountinfo.hpp"

#include "common/base/assert.hpp"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cppvm::storage;
    const auto mounts = parse_mountinfo({reinterpret_cast<const char*>(data), size});
    if (!mounts) {
        return 0;
    }
    CPPVM_ASSERT(mounts_below(*mounts, "/").size() == mounts->size());
    for (const MountPoint& mount : *mounts) {
        CPPVM_ASSERT(mount.path.starts_with('/'));
        CPPVM_ASSERT(!mounts_below(*mounts, mount.path).empty() || mount.path.ends_with('/'));
    }
    return 0;
}
