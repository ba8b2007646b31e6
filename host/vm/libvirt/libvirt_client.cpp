#include "host/vm/libvirt/libvirt_client.hpp"

#include "common/async/adopt.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/base/take_part.hpp"
#include "common/os/child_process.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"
#include "host/vm/helper_confinement.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <array>
#include <charconv>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace cppvm::vm {

namespace {

constexpr std::size_t max_answer_bytes = std::size_t{64} * 1024;

class LibvirtCategory : public std::error_category {
  public:
    const char* name() const noexcept override { return "libvirt"; }
    std::string message(int code) const override { return "libvirt error " + std::to_string(code); }
};

// virErrorNumber, https://libvirt.org/html/libvirt-virterror.html
Code code_of_libvirt(int number) noexcept {
    switch (number) {
    case 2: // VIR_ERR_NO_MEMORY
        return Code::resource_exhausted;
    case 38: // VIR_ERR_SYSTEM_ERROR: in practice the daemon's socket cannot be reached
    case 39: // VIR_ERR_RPC
        return Code::unavailable;
    case 45: // VIR_ERR_AUTH_FAILED
    case 88: // VIR_ERR_ACCESS_DENIED
        return Code::permission_denied;
    case 68: // VIR_ERR_OPERATION_TIMEOUT
        return Code::deadline_exceeded;
    default:
        return Code::unknown;
    }
}

template <class T>
std::optional<T> parse_number(std::string_view text) noexcept {
    T value{};
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const auto result = std::from_chars(begin, end, value);
    if (result.ec != std::errc{} || result.ptr != end) {
        return std::nullopt;
    }
    return value;
}

[[noreturn]] void throw_libvirt_error(std::string_view value, std::string_view operation) {
    const int number = parse_number<int>(take_part(value, ' ')).value_or(0);
    take_part(value, ' '); // the domain: which part of libvirt
    std::string message = std::string(operation) + ": ";
    message.append(number == 0 ? "" : "libvirt: ").append(value);
    throw Error(
        code_of_libvirt(number),
        std::move(message),
        number == 0 ? std::error_code() : std::error_code(number, libvirt_category())
    );
}

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
    const bool explained = answer.starts_with("error ") || answer.find("\nerror ") != answer.npos;
    if ((exit.code != 0 || exit.signal != 0) && !explained) {
        throw Error(
            Code::unavailable, spec.arguments[0] + " ended with " + to_text(exit) + " and no answer"
        );
    }
    co_return answer;
}

} // namespace

const std::error_category& libvirt_category() noexcept {
    static const LibvirtCategory category;
    return category;
}

std::optional<std::string_view> HelperAnswer::find(std::string_view key) const noexcept {
    for (const auto& [name, value] : values) {
        if (name == key) {
            return value;
        }
    }
    return std::nullopt;
}

std::vector<std::string> HelperAnswer::find_all(std::string_view key) const {
    std::vector<std::string> found;
    for (const auto& [name, value] : values) {
        if (name == key) {
            found.push_back(value);
        }
    }
    return found;
}

HelperAnswer parse_helper_answer(std::string_view text, std::string_view operation) {
    HelperAnswer answer;
    while (!text.empty()) {
        std::string_view line = take_part(text, '\n');
        const std::string_view key = take_part(line, ' ');
        if (key == "error") {
            throw_libvirt_error(line, operation);
        }
        answer.values.emplace_back(key, line);
    }
    return answer;
}

LibvirtClient::LibvirtClient(std::filesystem::path helper, std::string uri)
    : helper_(std::move(helper)), uri_(std::move(uri)) {}

Awaitable<HelperAnswer> LibvirtClient::run(
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
    std::vector<std::string> arguments = {
        "create", std::to_string(request.user), std::to_string(request.group)
    };
    for (const auto& socket : request.sockets) {
        arguments.push_back(socket.native());
    }
    const HelperAnswer answer = co_await run(
        std::move(arguments), std::move(request.xml), "create domain " + request.name, deadline
    );
    CreatedDomain created;
    if (const auto cid = answer.find("cid")) {
        created.cid = parse_number<std::uint32_t>(*cid);
    }
    created.warnings = answer.find_all("warning");
    co_return created;
}

Awaitable<bool> LibvirtClient::destroy(std::string uuid, Deadline deadline) {
    const HelperAnswer answer =
        co_await run({"destroy", uuid}, {}, "destroy domain " + uuid, deadline);
    co_return answer.find("found") == "yes";
}

Awaitable<LibvirtHost> LibvirtClient::ping(Deadline deadline) {
    const HelperAnswer answer =
        co_await run({"ping"}, {}, "connect to libvirt at " + uri_, deadline);
    const auto number = parse_number<unsigned>(answer.find("version").value_or("")).value_or(0);
    LibvirtHost host;
    host.version = std::to_string(number / 1000000) + "." + std::to_string(number / 1000 % 1000) +
                   "." + std::to_string(number % 1000);
    host.security_models = answer.find_all("secmodel");
    co_return host;
}

} // namespace cppvm::vm
