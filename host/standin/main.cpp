// cppvm-standin: the host process whose pid containerd is told for a process that runs in a guest.
// It does nothing, and there is one of it for every container and exec: so it uses no library at
// all, not even the C library, and takes a few pages of memory.

namespace {

constexpr char mark[] = "vm:"; // before the name that ps shows
constexpr int max_name = 15;   // characters (prctl(2))

#if defined(__x86_64__)

// The kernel leaves the number of arguments and their addresses on the stack.
asm(R"(
.globl _start
_start:
    mov %rsp, %rdi
    and $-16, %rsp
    call stand_in
)");

constexpr long sys_prctl = 157;
constexpr long sys_pause = 34;

long system_call(long number, long first, long second) noexcept {
    long result = number;
    asm volatile("syscall"
                 : "+a"(result)
                 : "D"(first), "S"(second), "d"(0L)
                 : "rcx", "r11", "memory");
    return result;
}

void wait_for_signal() noexcept {
    system_call(sys_pause, 0, 0);
}

#elif defined(__aarch64__)

asm(R"(
.globl _start
_start:
    mov x0, sp
    bl stand_in
)");

constexpr long sys_prctl = 167;
constexpr long sys_ppoll = 73;

long system_call(long number, long first, long second) noexcept {
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = first;
    register long x1 asm("x1") = second;
    register long x2 asm("x2") = 0;
    register long x3 asm("x3") = 0;
    asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}

void wait_for_signal() noexcept {
    system_call(sys_ppoll, 0, 0);
} // no descriptors, no time-out

#else
#error "cppvm-standin: add the system calls of this architecture"
#endif

constexpr long pr_set_name = 15;

/// "vm:" and the last part of the program's path.
void name_after(const char* program) noexcept {
    const char* last = program;
    for (const char* at = program; *at != '\0'; ++at) {
        last = *at == '/' && at[1] != '\0' ? at + 1 : last;
    }
    char name[max_name + 1] = {};
    int length = 0;
    const char* const parts[] = {mark, last};
    for (const char* from : parts) {
        for (; *from != '\0' && length < max_name; ++from) {
            name[length++] = *from;
        }
    }
    system_call(sys_prctl, pr_set_name, reinterpret_cast<long>(name));
}

} // namespace

/// `stack`: the number of arguments, then their addresses, then a null.
extern "C" [[noreturn]] void stand_in(const char* const* stack) noexcept {
    const char* const program = stack[1];
    name_after(program != nullptr ? program : "");
    for (;;) {
        wait_for_signal(
        ); // every signal that is not ignored ends us; after SIGSTOP, SIGCONT: again
    }
}
