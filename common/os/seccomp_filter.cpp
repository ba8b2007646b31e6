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

// More than the kernel takes (BPF_MAXINSNS): how much it is too long is worth knowing.
constexpr std::size_t max_program_bytes = std::size_t{1024} * 1024;

void allow(const SeccompContext& context, const AllowedCall& call) {
    const int number = ::seccomp_syscall_resolve_name(call.name);
    if (number < 0) { // unknown, or of another architecture
        return;
    }
    if (!call.argument) {
        check_seccomp(::seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, number, 0), call.name);
        return;
    }
    const scmp_arg_cmp first{0, SCMP_CMP_EQ, *call.argument, 0};
    check_seccomp(
        ::seccomp_rule_add_array(context.get(), SCMP_ACT_ALLOW, number, 1, &first), call.name
    );
}

} // namespace

void SeccompContextDeleter::operator()(void* context) const noexcept {
    ::seccomp_release(context);
}

SeccompContext make_seccomp_context(std::uint32_t default_action) {
    SeccompContext context(::seccomp_init(default_action));
    if (!context) {
        throw Error(Code::internal, "make a seccomp filter: libseccomp cannot");
    }
    return context;
}

void check_seccomp(int result, std::string_view what) {
    if (result < 0) {
        throw_errno("make a seccomp filter:", std::string(what), -result);
    }
}

// 2.5 writes a program to a descriptor only.
std::vector<sock_filter> export_program(const SeccompContext& context) {
    const UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) {
        throw_errno("make a buffer for", "a seccomp filter");
    }
    check_seccomp(::seccomp_export_bpf(context.get(), file.get()), "export");
    if (::lseek(file.get(), 0, SEEK_SET) != 0) {
        throw_errno("rewind", "a seccomp filter");
    }
    const std::string bytes = read_all(file.get(), "a seccomp filter", max_program_bytes);
    std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
    std::memcpy(program.data(), bytes.data(), program.size() * sizeof(sock_filter));
    return program;
}

std::vector<sock_filter> allow_only(const std::vector<AllowedCall>& calls) {
    const SeccompContext context = make_seccomp_context(SCMP_ACT_ERRNO(ENOSYS));
    // A tree of comparisons instead of a chain: fewer of them for each system call.
    check_seccomp(::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimize");
    for (const AllowedCall& call : calls) {
        allow(context, call);
    }
    return export_program(context);
}

} // namespace cppvm
