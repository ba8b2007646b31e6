#include "host/shim/bootstrap.hpp"

#include "common/base/error.hpp"
#include "common/base/one_line.hpp"
#include "common/base/type_of_url.hpp"
#include "common/os/poll.hpp"
#include "proto/containerd/bootstrap.pb.h"
#include "proto/containerd/runtimeoptions.pb.h"

#include <array>
#include <cerrno>
#include <optional>
#include <unistd.h>

namespace cppvm::shim {

namespace {

namespace bootstrap = containerd::runtime::bootstrap::v1;
using google::protobuf::Any;

constexpr std::size_t max_input_bytes = 10UL * 1024 * 1024; // as containerd's Go library has it
constexpr std::string_view options_type = "runtimeoptions.v1.Options";
constexpr std::size_t max_shown_bytes = 200;

template <class Message>
std::optional<Message> decode(std::string_view data) {
    Message message;
    if (!message.ParseFromArray(data.data(), static_cast<int>(data.size()))) {
        return std::nullopt;
    }
    return message;
}

void take_options(const Any& any, BootstrapInput& input) {
    if (type_of_url(any.type_url()) != options_type) {
        // Such as runc's, which a client may pass to any runtime.
        input.ignored_options = one_line(std::string(type_of_url(any.type_url())), max_shown_bytes);
        return;
    }
    const auto options = decode<runtimeoptions::v1::Options>(any.value());
    if (!options) {
        throw Error(Code::invalid_argument, "runtime options: not decodable as " + any.type_url());
    }
    input.config_path = options->config_path();
    input.config_body = options->config_body();
    if (!input.config_path.empty() && !input.config_path.is_absolute()) {
        throw Error(
            Code::invalid_argument,
            "runtime options: ConfigPath \"" + options->config_path().substr(0, max_shown_bytes) +
                "\" must be an absolute path"
        );
    }
}

std::string to_level(int level) {
    if (level <= bootstrap::LOG_LEVEL_TRACE) {
        return "trace";
    }
    return level <= bootstrap::LOG_LEVEL_DEBUG ? "debug" : "";
}

BootstrapInput from_params(const bootstrap::BootstrapParams& params) {
    BootstrapInput input;
    input.wants_bootstrap_result = true;
    input.socket_dir = params.socket_dir();
    input.ttrpc_address = params.containerd_ttrpc_address();
    input.log_level = to_level(params.log_level());
    for (const auto& extension : params.extensions()) {
        take_options(extension.value(), input);
    }
    return input;
}

} // namespace

std::string read_bootstrap_input(int fd, std::chrono::milliseconds timeout) {
    std::string data;
    if (::isatty(fd) != 0) {
        return data;
    }
    const auto deadline = deadline_in(timeout);
    std::array<char, 65536> buffer{};
    for (;;) {
        if (!wait_readable(fd, "standard input", deadline)) {
            throw Error(
                Code::deadline_exceeded,
                "read standard input: no end within " + std::to_string(timeout.count()) + " ms"
            );
        }
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count == 0) {
            return data;
        }
        if (count < 0) {
            if (errno == EINTR || errno == EAGAIN) {
                continue;
            }
            throw_errno("read", "standard input");
        }
        data.append(buffer.data(), static_cast<std::size_t>(count));
        if (data.size() > max_input_bytes) {
            throw Error(
                Code::resource_exhausted,
                "read standard input: larger than the limit of " + std::to_string(max_input_bytes) +
                    " bytes"
            );
        }
    }
}

BootstrapInput parse_bootstrap_input(
    std::string_view data, std::string_view id, std::string_view containerd_namespace
) {
    if (data.empty()) {
        return {};
    }
    if (const auto params = decode<bootstrap::BootstrapParams>(data)) {
        if (params->instance_id() == id && params->namespace_() == containerd_namespace) {
            return from_params(*params);
        }
    }
    const auto any = decode<Any>(data);
    if (!any || any->type_url().empty()) {
        throw Error(
            Code::invalid_argument,
            "read standard input: " + std::to_string(data.size()) +
                " bytes that are neither BootstrapParams nor runtime options"
        );
    }
    BootstrapInput input;
    take_options(*any, input);
    return input;
}

std::string bootstrap_answer(const BootstrapInput& input, const std::string& address) {
    if (!input.wants_bootstrap_result) {
        return address;
    }
    bootstrap::BootstrapResult result;
    result.set_version(3);
    result.set_address(address);
    result.set_protocol("ttrpc");
    return result.SerializeAsString(); // fields in the order of their numbers
}

} // namespace cppvm::shim
