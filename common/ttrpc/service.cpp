#include "common/ttrpc/service.hpp"

#include "common/base/error.hpp"

namespace cppvm::ttrpc {

Service::~Service() = default;

Awaitable<> Service::stream(CallContext& /*context*/, std::string_view method, Stream& /*stream*/) {
    throw_unknown_method(method);
}

bool Service::is_streaming(std::string_view /*method*/) const {
    return false;
}

void throw_unknown_method(std::string_view method) {
    throw Error(Code::unimplemented, std::string("method ").append(method));
}

} // namespace cppvm::ttrpc
