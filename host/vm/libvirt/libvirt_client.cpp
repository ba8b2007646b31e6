#include "host/vm/libvirt/libvirt_client.hpp"

#include "common/async/adopt.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/child_process.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"
#include "host/vm/helper_confinement.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <array>
#include <sys/mman.h>
#include <unistd.h>

namespace cppvm::vm {

namespace {

constexpr std::size_t max_answer_bytes = std::size_t{64} * 1024;

Awaitable<std::string> read_answer(asio::posix::stream_descriptor& pipe) {
    std::string text;
    std::array<char, 4096> buffer{};
    for (;;) {
        auto [error, count] = co_await pipe.async_read_some(asio::buffer(buffer), use_tuple);
        if (error == asio::error::eof) {
            co_return text;
        }
        if (error) {
            throw boost::system::system_error(error);
        }
        if (text.size() + count > max_answer_bytes) {
            throw Error(Code::internal, "read the libvirt helper's answer: too long");
        }
        text.append(buffer.data(), count);
    }
}

// Unlike a pipe, an unnamed file takes all of the input, and does not mind a helper that ends
// early.
UniqueFd make_input(std::string_view text) {
    UniqueFd file(::memfd_create("libvirt-helper-input", MFD_CLOEXEC));
    if (!file) {
        throw_errno("make the input of", "the libvirt helper");
    }
    write_all(file.get(), "the libvirt helper's input", text);
    if (::lseek(file.get(), 0, SEEK_SET) != 0) {
        throw_errno("rewind the input of", "the libvirt helper");
    }
    return file;
}

Awaitable<std::string> run_helper(ChildSpec spec, std::string input) {
    auto executor = co_await asio::this_coro::executor;
    const UniqueFd in = make_input(input);
    Pipe out = make_pipe("the libvirt helper");
    spec.descriptors = {{in.get(), 0}, {out.write.get(), 1}};
    ChildProcess helper(executor, spec);
    out.write.reset();
    auto pipe = to_descriptor(executor, std::move(out.read));
    std::string answer = co_await read_answer(pipe);
    const ChildExit exit = co_await helper.wait();
    if ((exit.code != 0 || exit.signal != 0) && answer.empty()) {
        throw Error(
            Code::internal, spec.arguments[0] + " ended with " + to_text(exit) + " and no answer"
        );
    }
    co_return answer;
}

} // namespace

helper::v1::Response parse_helper_answer(std::string_view bytes, std::string_view operation) {
    helper::v1::Response response;
    if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        throw Error(
            Code::internal, std::string(operation) + ": the libvirt helper's answer is malformed"
        );
    }
    if (response.has_error()) {
        const auto& error = response.error();
        throw Error(failure_code(error.code()), std::string(operation) + ": " + error.message());
    }
    return response;
}

LibvirtClient::LibvirtClient(std::filesystem::path helper, std::string uri)
    : helper_(std::move(helper)), uri_(std::move(uri)) {}

Awaitable<helper::v1::Response> LibvirtClient::run(
    std::vector<std::string> arguments, std::string input, std::string operation, Deadline deadline
) {
    ChildSpec spec;
    spec.arguments = {helper_.native(), uri_};
    spec.confinement = confine_libvirt_helper();
    spec.arguments.insert(spec.arguments.end(), arguments.begin(), arguments.end());
    std::string answer;
    try {
        answer = co_await with_timeout(
            run_helper(std::move(spec), std::move(input)), deadline, "libvirt at " + uri_
        );
    } catch (const Error&) {
        rethrow_with_context(operation);
    }
    co_return parse_helper_answer(answer, operation);
}

Awaitable<CreatedDomain> LibvirtClient::create(DomainRequest request, Deadline deadline) {
    helper::v1::CreateDomain message;
    message.set_xml(std::move(request.xml));
    message.set_user(request.user);
    message.set_group(request.group);
    for (const auto& socket : request.sockets) {
        message.add_sockets(socket.native());
    }
    const auto response = co_await run(
        {"create"}, message.SerializeAsString(), "create domain " + request.name, deadline
    );
    CreatedDomain created;
    if (response.cid() != 0) {
        created.cid = response.cid();
    }
    created.warnings.assign(response.warnings().begin(), response.warnings().end());
    co_return created;
}

Awaitable<bool> LibvirtClient::destroy(std::string uuid, Deadline deadline) {
    const auto response = co_await run({"destroy", uuid}, {}, "destroy domain " + uuid, deadline);
    co_return response.found();
}

Awaitable<> LibvirtClient::attach(std::string uuid, std::string xml, Deadline deadline) {
    helper::v1::Device device;
    device.set_xml(std::move(xml));
    co_await run(
        {"attach", uuid}, device.SerializeAsString(), "attach a device to domain " + uuid, deadline
    );
}

Awaitable<> LibvirtClient::detach(std::string uuid, std::string xml, Deadline deadline) {
    helper::v1::Device device;
    device.set_xml(std::move(xml));
    co_await run(
        {"detach", uuid},
        device.SerializeAsString(),
        "detach a device from domain " + uuid,
        deadline
    );
}

Awaitable<LibvirtHost> LibvirtClient::ping(Deadline deadline) {
    const auto response = co_await run({"ping"}, {}, "connect to libvirt at " + uri_, deadline);
    const std::uint64_t number = response.version();
    LibvirtHost host;
    host.version = std::to_string(number / 1000000) + "." + std::to_string(number / 1000 % 1000) +
                   "." + std::to_string(number % 1000);
    host.security_models.assign(
        response.security_models().begin(), response.security_models().end()
    );
    co_return host;
}

} // namespace cppvm::vm
