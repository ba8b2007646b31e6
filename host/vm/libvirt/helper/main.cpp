// cppvm-libvirt: does one thing with libvirt and exits. See docs/adr/0001 for why it is a program.
//
//   cppvm-libvirt URI create USER GROUP [SOCKET…]   domain XML on stdin
//   cppvm-libvirt URI destroy UUID
//   cppvm-libvirt URI ping
//
// stdout: lines "<key> <value>"; a failure is the line "error <code> <domain> <text>" and exit code
// 1. Code and domain are libvirt's numbers, 0 when the failure is not libvirt's.

#include "common/base/error.hpp"
#include "common/base/one_line.hpp"
#include "host/vm/libvirt/helper/connection.hpp"
#include "host/vm/libvirt/helper/operations.hpp"

#include <charconv>
#include <cstdint>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace cppvm;

std::uint32_t parse_id(const std::string& text) {
    std::uint32_t id = 0;
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, id);
    if (parsed.ec != std::errc{} || parsed.ptr != end || id == 0) {
        throw Error(Code::invalid_argument, "cppvm-libvirt: \"" + text + "\" is not a user's id");
    }
    return id;
}

constexpr const char* usage = "cppvm-libvirt is run by the shim; usage: cppvm-libvirt URI create "
                              "USER GROUP [SOCKET...] | destroy UUID | ping";

void run(const std::vector<std::string>& arguments, std::ostream& out) {
    if (arguments == std::vector<std::string>{"--help"}) {
        out << usage << '\n';
        return;
    }
    const bool known =
        arguments.size() >= 2 && ((arguments[1] == "create" && arguments.size() >= 4) ||
                                  (arguments[1] == "ping" && arguments.size() == 2) ||
                                  (arguments[1] == "destroy" && arguments.size() == 3));
    if (!known) {
        throw Error(Code::invalid_argument, usage);
    }
    std::string xml;
    if (arguments[1] == "create") {
        xml.assign(std::istreambuf_iterator<char>(std::cin), {});
    }
    const vm::libvirt::Connection connection(arguments[0]);
    if (arguments[1] == "create") {
        const vm::libvirt::Owner owner{parse_id(arguments[2]), parse_id(arguments[3])};
        const std::vector<std::string> sockets(arguments.begin() + 4, arguments.end());
        vm::libvirt::create(connection, xml, owner, sockets, out);
    } else if (arguments[1] == "destroy") {
        vm::libvirt::destroy(connection, arguments[2], out);
    } else {
        vm::libvirt::ping(connection, out);
    }
}

} // namespace

int main(int argc, char** argv) {
    try {
        run(std::vector<std::string>(argv + 1, argv + argc), std::cout);
        return std::cout.flush() ? 0 : 1;
    } catch (const vm::libvirt::LibvirtError& error) {
        std::cout << "error " << error.code() << ' ' << error.domain() << ' '
                  << joined_lines(error.what()) << '\n';
    } catch (...) {
        std::cout << "error 0 0 " << joined_lines(to_status(std::current_exception()).message)
                  << '\n';
    }
    std::cout.flush();
    return 1;
}
