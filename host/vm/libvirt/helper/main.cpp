// cppvm-libvirt: does one thing with libvirt and exits. docs/adr/0001 says why it is a program,
// proto/cppvm/libvirt.proto what goes in and comes out.

#include "common/base/error.hpp"
#include "common/base/one_line.hpp"
#include "host/vm/libvirt/helper/connection.hpp"
#include "host/vm/libvirt/helper/operations.hpp"

#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace cppvm;
using namespace cppvm::vm::libvirt;
using cppvm::helper::v1::Response;

constexpr const char* usage =
    "cppvm-libvirt is run by the shim; usage: cppvm-libvirt URI OPERATION [UUID] <message "
    ">response\n"
    "operations: create, ping; with the UUID of a domain: attach, destroy, detach\n";

template <class Message>
Message read_input() {
    Message message;
    const std::string bytes(std::istreambuf_iterator<char>(std::cin), {});
    if (!message.ParseFromString(bytes)) {
        throw Error(Code::invalid_argument, "standard input: not a valid " + message.GetTypeName());
    }
    return message;
}

struct Operation {
    bool of_a_domain;
    std::function<void(const Connection&, const std::string& uuid, Response&)> run;
};

const std::map<std::string, Operation>& operations() {
    using cppvm::helper::v1::CreateDomain;
    using cppvm::helper::v1::Device;
    static const std::map<std::string, Operation> table = {
        {"attach",
         {true,
          [](const Connection& connection, const std::string& uuid, Response&) {
              attach(connection, uuid, read_input<Device>().xml());
          }}},
        {"create",
         {false,
          [](const Connection& connection, const std::string&, Response& response) {
              create(connection, read_input<CreateDomain>(), response);
          }}},
        {"destroy",
         {true,
          [](const Connection& connection, const std::string& uuid, Response& response) {
              destroy(connection, uuid, response);
          }}},
        {"detach",
         {true,
          [](const Connection& connection, const std::string& uuid, Response&) {
              detach(connection, uuid, read_input<Device>().xml());
          }}},
        {"ping",
         {false,
          [](const Connection& connection, const std::string&, Response& response) {
              ping(connection, response);
          }}},
    };
    return table;
}

void run(const std::vector<std::string>& arguments, Response& response) {
    const auto found = arguments.size() >= 2 ? operations().find(arguments[1]) : operations().end();
    if (found == operations().end() || arguments.size() != (found->second.of_a_domain ? 3U : 2U)) {
        throw Error(Code::invalid_argument, usage);
    }
    const Connection connection(arguments[0]);
    found->second.run(connection, found->second.of_a_domain ? arguments[2] : "", response);
}

} // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments == std::vector<std::string>{"--help"}) {
        std::cout << usage;
        return 0;
    }
    Response response;
    try {
        run(arguments, response);
    } catch (...) {
        const Status failure = to_status(std::current_exception());
        response.mutable_error()->set_code(static_cast<int>(failure.code));
        response.mutable_error()->set_message(joined_lines(failure.message));
    }
    const bool written = response.SerializeToOstream(&std::cout) && std::cout.flush();
    return written && !response.has_error() ? 0 : 1;
}
