#pragma once

#include "common/async/asio.hpp"
#include "common/ttrpc/stream.hpp"
#include "common/ttrpc/types.hpp"

#include <string>
#include <string_view>

namespace cppvm::ttrpc {

/// What a server offers under one name. Generated stubs derive from it (protoc_plugin/).
/// Handlers run beside each other on the loop, each in a coroutine of its own. One is cancelled
/// when its connection ends or its deadline comes, and has to end then.
class Service {
  public:
    Service() = default;
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;
    virtual ~Service();

    /// With its package: "cppvm.agent.v2.Agent".
    virtual std::string_view name() const = 0;

    /// A unary method: takes and gives serialised messages. `context`, `method` and `payload` live
    /// until it has ended. Throws: Error, which becomes the reply's status by to_status;
    /// unimplemented for an unknown method (`throw_unknown_method`).
    virtual Awaitable<std::string>
    dispatch(CallContext& context, std::string_view method, std::string_view payload) = 0;

    /// A method that streams. Its return ends the stream; so does an exception, as its status.
    /// Default: no such method.
    virtual Awaitable<> stream(CallContext& context, std::string_view method, Stream& stream);

    /// Whether `method` streams although the client itself does not (else the request says so).
    virtual bool is_streaming(std::string_view method) const;
};

/// Throws: Error (unimplemented) "method X". containerd falls back to an older service by the code.
[[noreturn]] void throw_unknown_method(std::string_view method);

} // namespace cppvm::ttrpc
