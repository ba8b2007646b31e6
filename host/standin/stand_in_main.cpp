// The host process that stands for one process in the guest: its pid is what containerd is told. It
// does nothing until it is killed, as cheaply as that is possible: no C library, two pages.
//
// Numbers and calling conventions: syscall(2), signal(7).

namespace {

#if defined(__x86_64__)

constexpr long sys_rt_sigprocmask = 14;
constexpr long sys_pause_or_ppoll = 34; // pause
constexpr long sys_prctl = 157;

long system_call(long number, long a, long b, long c, long d) {
    long result = 0;
    register long r10 asm("r10") = d;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                 : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

constexpr long sys_rt_sigprocmask = 135;
constexpr long sys_pause_or_ppoll = 73; // ppoll without descriptors or time-out
constexpr long sys_prctl = 167;

long system_call(long number, long a, long b, long c, long d) {
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = 0;
    asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}

#else
#error "the stand-in knows no system calls of this architecture"
#endif

constexpr long pr_set_name = 15;
constexpr long sig_block = 0;

} // namespace

extern "C" [[noreturn]] void _start() {
    static const char name[] = "cppvm-task";
    system_call(sys_prctl, pr_set_name, reinterpret_cast<long>(name), 0, 0);
    // Only the daemon ends it (SIGKILL cannot be blocked): who signals this pid means the guest's
    // process, and must go through containerd.
    static const unsigned long all = ~0UL;
    system_call(sys_rt_sigprocmask, sig_block, reinterpret_cast<long>(&all), 0, sizeof all);
    for (;;) {
        system_call(sys_pause_or_ppoll, 0, 0, 0, 0);
    }
}
