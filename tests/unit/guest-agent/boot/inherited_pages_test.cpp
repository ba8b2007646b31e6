#include "guest-agent/boot/inherited_pages.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

// The linker's: where the program and its code are.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
extern const char __executable_start;
extern const char etext;

namespace cppvm::guest {
namespace {

long faults_so_far() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

// A sanitizer would look at memory of its own for each read.
__attribute__((no_sanitize("address", "thread", "undefined"))) void read_each_page() {
    constexpr std::ptrdiff_t page = 4096;
    for (const volatile char* at = &__executable_start; at < &etext; at += page) {
        static_cast<void>(*at);
    }
}

/// How often a child has to wait for a page while it reads one byte of each page of the program.
int faults_of_a_child() {
    const pid_t child = ::fork();
    if (child == 0) {
        const long before = faults_so_far();
        read_each_page();
        ::_exit(static_cast<int>(std::min(faults_so_far() - before, 250L)));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

TEST(InheritedPagesTest, SparesChildrenThePageFaults) {
    const int before = faults_of_a_child();
    ASSERT_GT(before, 10) << "this program is too small to show it";
    inherit_program_pages();
    EXPECT_LT(faults_of_a_child(), before / 4);
}

} // namespace
} // namespace cppvm::guest
