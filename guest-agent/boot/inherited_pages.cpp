#include "guest-agent/boot/inherited_pages.hpp"

#include "common/base/unique_fd.hpp"

#include <cstdint>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

// The kernel's way for debuggers: it copies a page that may only be read, and writes there.
void make_a_page_private(int memory, const volatile char* address) noexcept {
    const char same = *address;
    const auto position = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(address));
    static_cast<void>(::pwrite(memory, &same, 1, position));
}

int inherit_segments(dl_phdr_info* program, std::size_t /*size*/, void* memory) {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    for (ElfW(Half) i = 0; i < program->dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = program->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0 || segment.p_filesz == 0) {
            continue;
        }
        const std::uintptr_t first = program->dlpi_addr + segment.p_vaddr;
        const std::uintptr_t into_page = first % page;
        // NOLINTNEXTLINE(performance-no-int-to-ptr): the loader tells addresses as numbers
        auto* const begin = reinterpret_cast<char*>(first - into_page);
        make_a_page_private(*static_cast<const int*>(memory), begin);
        ::madvise(begin, into_page + segment.p_filesz, MADV_POPULATE_READ);
    }
    return 1; // the program comes first; what it is linked with dynamically does not matter here
}

} // namespace

void inherit_program_pages() noexcept {
    UniqueFd memory(::open("/proc/self/mem", O_RDWR | O_CLOEXEC));
    if (memory) {
        int descriptor = memory.get();
        ::dl_iterate_phdr(inherit_segments, &descriptor);
    }
}

} // namespace cppvm::guest
