// Linked into static programs only, in place of two functions of libgcc's (ld's --wrap).
//
// crtbeginT.o, the start of a static program, registers its unwind tables, and what is registered
// is sorted when the first exception is thrown: 3 ms of a process that lives for 5, and each child
// that throws sorts them again. Without a registration the unwinder looks into PT_GNU_EH_FRAME,
// which the linker has sorted (gcc, libgcc/unwind-dw2-fde-dip.c).

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names

void __wrap___register_frame_info(const void* /*begin*/, void* /*object*/) {}

// Libgcc's own would end the program for tables that were not registered.
void* __wrap___deregister_frame_info(const void* /*begin*/) {
    return nullptr;
}

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

} // extern "C"
