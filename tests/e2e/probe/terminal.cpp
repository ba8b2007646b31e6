#include "tests/e2e/probe/attempt.hpp"
#include "tests/e2e/probe/probe.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

namespace cppvm::probe {

namespace {

Json settings(int fd) {
    termios values{};
    if (::tcgetattr(fd, &values) != 0) {
        return error_name(errno);
    }
    return {values.c_iflag, values.c_oflag, values.c_cflag, values.c_lflag};
}

Json describe(int fd) {
    std::array<char, 128> name{};
    if (::ttyname_r(fd, name.data(), name.size()) != 0) {
        return error_name(errno);
    }
    winsize size{};
    ::ioctl(fd, TIOCGWINSZ, &size);
    struct stat status{};
    ::fstat(fd, &status);
    return {
        {"name", name.data()},
        {"rows", size.ws_row},
        {"columns", size.ws_col},
        {"uid", status.st_uid},
        {"gid", status.st_gid},
        {"mode", status.st_mode & 07777U},
        {"settings", settings(fd)},
    };
}

Json console() {
    struct stat status{};
    if (::stat("/dev/console", &status) != 0) {
        return error_name(errno);
    }
    return {
        {"major", major(status.st_rdev)}, {"uid", status.st_uid}, {"mode", status.st_mode & 07777U}
    };
}

} // namespace

Json terminal() {
    Json result;
    result["leads_session"] = ::getsid(0) == ::getpid();
    result["leads_group"] = ::getpgrp() == ::getpid();
    result["controlling"] = attempt([] { return error_of(::open("/dev/tty", O_RDWR)); });
    for (int fd = 0; fd <= 2; ++fd) {
        result["terminal"][std::to_string(fd)] = describe(fd);
    }
    result["console"] = console();
    return result;
}

} // namespace cppvm::probe
