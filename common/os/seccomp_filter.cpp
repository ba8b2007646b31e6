#include "common/os/seccomp_filter.hpp"

#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"

#include <seccomp.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace cppvm {

namespace {

constexpr std::size_t max_program_bytes = std::size_t{4096} * sizeof(sock_filter); // BPF_MAXINSNS

struct ContextDeleter {
    void operator()(void* context) const noexcept { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, ContextDeleter>;

// libseccomp's functions return a negated errno.
void check(int result, const char* what) {
    if (result < 0) {
        throw_errno("make a seccomp filter:", what, -result);
    }
}

void allow(const Context& context, const AllowedCall& call) {
    const int number = ::seccomp_syscall_resolve_name(call.name);
    if (number < 0) { // unknown, or of another architecture
        return;
    }
    if (!call.argument) {
        check(::seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, number, 0), call.name);
        return;
    }
    const scmp_arg_cmp first{0, SCMP_CMP_EQ, *call.argument, 0};
    check(::seccomp_rule_add_array(context.get(), SCMP_ACT_ALLOW, number, 1, &first), call.name);
}

// 2.5 writes a program to a descriptor only.
std::vector<sock_filter> exported(const Context& context) {
    const UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) {
        throw_errno("make a buffer for", "a seccomp filter");
    }
    check(::seccomp_export_bpf(context.get(), file.get()), "export");
    if (::lseek(file.get(), 0, SEEK_SET) != 0) {
        throw_errno("rewind", "a seccomp filter");
    }
    const std::string bytes = read_all(file.get(), "a seccomp filter", max_program_bytes);
    std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
    std::memcpy(program.data(), bytes.data(), program.size() * sizeof(sock_filter));
    return program;
}

} // namespace

std::vector<sock_filter> allow_only(const std::vector<AllowedCall>& calls) {
    const Context context(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
    if (!context) {
        throw Error(Code::internal, "make a seccomp filter: libseccomp cannot");
    }
    // A tree of comparisons instead of a chain: fewer of them for each system call.
    check(::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimize");
    for (const AllowedCall& call : calls) {
        allow(context, call);
    }
    return exported(context);
}

} // namespace cppvm
